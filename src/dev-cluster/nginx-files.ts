import type { LayerEntry } from './layer.ts'

const mainConfig = `user nginx;
worker_processes 1;
error_log /var/log/nginx/error.log notice;
pid /run/nginx.pid;
events { worker_connections 1024; }
http {
  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for"';
  access_log /var/log/nginx/access.log main;
  sendfile on;
  keepalive_timeout 65;
  include /etc/nginx/conf.d/*.conf;
}
`

// /hostname is ours: behind a Service it tells which Pod answered.
const defaultServer = `server {
  listen 80;
  server_name localhost;
  location / {
    root /usr/share/nginx/html;
    index index.html index.htm;
  }
  location = /hostname {
    default_type text/plain;
    return 200 "$hostname\\n";
  }
}
`

const indexPage = `<!DOCTYPE html>
<html>
<head><title>Welcome to nginx!</title></head>
<body><h1>Welcome to nginx!</h1></body>
</html>
`

/** What the well-known nginx image has around the program: its layout of configuration, page and logs. */
export const nginxFiles: readonly LayerEntry[] = [
  { kind: 'text', path: 'etc/nginx/nginx.conf', text: mainConfig },
  { kind: 'text', path: 'etc/nginx/conf.d/default.conf', text: defaultServer },
  { kind: 'text', path: 'usr/share/nginx/html/index.html', text: indexPage },
  { kind: 'text', path: 'docker-entrypoint.sh', text: '#!/bin/sh\nexec "$@"\n', mode: 0o755 },
  // Debian's nginx keeps request bodies here.
  { kind: 'dir', path: 'var/lib/nginx' },
  { kind: 'symlink', path: 'var/log/nginx/access.log', target: '/dev/stdout' },
  { kind: 'symlink', path: 'var/log/nginx/error.log', target: '/dev/stderr' },
]
