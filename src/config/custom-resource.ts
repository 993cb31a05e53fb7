import type { TSchema } from 'typebox'
import type { KubeObject } from '../model/kubernetes.ts'
import { structuralSchema, type StructuralSchema } from './structural-schema.ts'

export const customResourceGroup = 'spillway.dev'
export const customResourceVersion = 'v1alpha1'

export interface CustomResourceOptions {
  readonly kind: string
  readonly plural: string
  readonly singular: string
  readonly shortNames: readonly string[]
  readonly scope: 'Cluster' | 'Namespaced'
  /** For `kubectl explain`. */
  readonly description: string
  readonly spec: TSchema
  readonly status: TSchema
  /** CEL rules over the whole object, such as of its name. */
  readonly rules?: readonly object[]
  /** With it `kubectl scale` and HorizontalPodAutoscalers work. */
  readonly scale?: {
    readonly specReplicasPath: string
    readonly statusReplicasPath: string
    readonly labelSelectorPath: string
  }
  readonly columns: readonly PrinterColumn[]
}

export interface PrinterColumn {
  readonly name: string
  readonly type: 'string' | 'integer' | 'date'
  readonly jsonPath: string
  readonly description?: string
  /** Above 0: only with `-o wide`. */
  readonly priority?: number
}

export interface CustomResourceDefinition extends KubeObject {
  readonly spec: unknown
}

/** The definition of a kind of ours; its spec's schema is the configuration file's. */
export function customResourceDefinition(options: CustomResourceOptions): CustomResourceDefinition {
  const { kind, plural, singular, shortNames, scope, scale, columns } = options
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${customResourceGroup}` },
    spec: {
      group: customResourceGroup,
      names: { kind, plural, singular, listKind: `${kind}List`, shortNames, categories: ['spillway'] },
      scope,
      versions: [
        {
          name: customResourceVersion,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: wholeSchema(options) },
          subresources: { status: {}, ...(scale && { scale }) },
          additionalPrinterColumns: columns,
        },
      ],
    },
  }
}

function wholeSchema({ description, spec, status, rules }: CustomResourceOptions): StructuralSchema {
  return {
    description,
    type: 'object',
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object' },
      spec: structuralSchema(spec),
      status: structuralSchema(status),
    },
    ...(rules && { 'x-kubernetes-validations': rules }),
  }
}
