import { Type, type Static } from 'typebox'
import { ledgerSchema } from './ledger.ts'
import { poolSchema } from './pool-schema.ts'
import { objectName, text } from './schema-words.ts'

/**
 * The configuration file. Descriptions are the text of docs/reference/config.md. `pools[]` has exactly the spec of a
 * VirtualNodePool. Options of a backend stay unknown here and are checked by that backend's own schema.
 */
export const nodeIdentitySchema = Type.Object(
  {
    clientCertificate: text('PEM file: certificate of system:node:<node>; {node} stands for the node’s name'),
    clientKey: text('PEM file of its key'),
  },
  { additionalProperties: false },
)

const servingFilesSchema = Type.Object(
  {
    certificate: text('PEM file, read again when it changes; {node} stands for the node’s name'),
    key: text('PEM file of its key'),
  },
  { additionalProperties: false },
)

export const configSchema = Type.Object(
  {
    clusterName: Type.Optional(objectName('what people call the cluster (default)')),
    kubeconfig: Type.Optional(text('kubeconfig file of the controller; left out: in-cluster')),
    state: Type.Optional(text('folder of the ledger and of Pods’ files (/var/lib/spillway/<clusterName>)')),
    run: Type.Optional(text('folder of the admin socket (/run/spillway/<clusterName>)')),
    ledger: Type.Optional(ledgerSchema),
    logLevel: Type.Optional(
      Type.Union(
        ['debug', 'info', 'warn', 'error'].map((level) => Type.Literal(level)),
        {
          description: 'least level that is logged (info)',
        },
      ),
    ),
    nodeApi: Type.Object(
      {
        address: Type.String({
          pattern: '^[0-9a-fA-F.:]+$',
          description: 'IP address of this machine that the API server reaches; the nodes’ InternalIP',
        }),
        firstPort: Type.Optional(
          Type.Integer({
            minimum: 1,
            maximum: 65_000,
            description: 'port of the first node; each further one adds 1 (10260)',
          }),
        ),
        clientCa: Type.Optional(
          text('PEM file: who may call with a client certificate; left out: tokens only'),
        ),
        servingCertificate: Type.Optional(
          Type.Union([Type.Literal('csr'), Type.Literal('self-signed'), servingFilesSchema], {
            description:
              'what nodes serve with: a certificate that the cluster signs on request (csr, the default), self-signed, or files',
          }),
        ),
      },
      { additionalProperties: false },
    ),
    nodeIdentity: Type.Optional(
      Type.Union([nodeIdentitySchema, Type.Literal('impersonate'), Type.Literal('csr')], {
        description:
          'how a node speaks to the API server: the controller in its name (impersonate, the default), a certificate that the cluster signs on request (csr), or one from files',
      }),
    ),
    defaults: Type.Optional(
      Type.Object(
        {
          clusterDns: Type.Optional(
            Type.Array(Type.String(), { description: 'addresses of cluster DNS ([10.96.0.10])' }),
          ),
          clusterDomain: Type.Optional(text('DNS domain of the cluster (cluster.local)')),
        },
        { additionalProperties: false },
      ),
    ),
    backends: Type.Array(
      Type.Object(
        {
          name: objectName('what pools call it'),
          kind: Type.Union([Type.Literal('cri'), Type.Literal('simulator')], {
            description: 'cri or simulator',
          }),
          options: Type.Optional(Type.Unknown({ description: 'options of that kind' })),
        },
        { additionalProperties: false },
      ),
      { minItems: 1 },
    ),
    pools: Type.Optional(
      Type.Array(poolSchema, {
        description:
          'pools that are there from the start; where the cluster serves VirtualNodePools, each becomes one, and that one counts from then on',
      }),
    ),
    priceBooks: Type.Optional(
      Type.Array(text('file, or folder of files'), {
        description:
          'price books besides those that come with Spillway: files, or folders of .yaml, .yml and .json; from the folder of this file',
      }),
    ),
    admissionWebhook: Type.Optional(
      Type.Object(
        {
          address: Type.Optional(
            Type.String({
              pattern: '^[0-9a-fA-F.:]+$',
              description: 'IP address of this machine that the API server reaches (nodeApi.address)',
            }),
          ),
          port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535, description: 'its port (9443)' })),
        },
        {
          additionalProperties: false,
          description: 'where admission webhooks are served, if deploy/admission-webhook.yaml was applied',
        },
      ),
    ),
    overflow: Type.Optional(
      Type.Object(
        {
          enabled: Type.Optional(
            Type.Boolean({ description: 'let Unschedulable Pods go to virtual nodes (true)' }),
          ),
          deletionCost: Type.Optional(
            Type.Integer({
              minimum: -2_147_483_648,
              maximum: 2_147_483_647,
              description: 'pod-deletion-cost of Pods on virtual nodes (-1000)',
            }),
          ),
        },
        { additionalProperties: false },
      ),
    ),
    moveBack: Type.Optional(
      Type.Object(
        {
          enabled: Type.Optional(
            Type.Boolean({
              description: 'bring Pods that overflow sent out back to servers that have room again (false)',
            }),
          ),
          afterSeconds: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 86_400,
              description: 'how long servers have to have had room, and the workload its size (300)',
            }),
          ),
          reservePercent: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: 90,
              description: 'percent of a server’s processors and memory that stay free after a move (10)',
            }),
          ),
          perMinute: Type.Optional(
            Type.Integer({ minimum: 1, maximum: 1000, description: 'most moves begun in a minute (6)' }),
          ),
          giveUpAfterSeconds: Type.Optional(
            Type.Integer({
              minimum: 10,
              maximum: 3600,
              description: 'how long a Pod’s twin on a server may take to become available (300)',
            }),
          ),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)

export type RawConfig = Static<typeof configSchema>
