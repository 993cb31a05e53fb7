/**
 * When a token runs out, in wall milliseconds; Infinity when it does not say, or is no JWT. Its signature is not looked
 * at: only for tokens that the API server has found good. Pure.
 */
export function tokenExpiryMs(token: string): number {
  const [, claims = ''] = token.split('.')
  try {
    const { exp } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { readonly exp?: unknown }
    return typeof exp === 'number' ? exp * 1000 : Infinity
  } catch {
    return Infinity
  }
}
