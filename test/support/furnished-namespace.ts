import type { KubeApi } from '../../src/kube/api.ts'
import { namespaces, serviceAccounts } from '../../src/kube/resources.ts'
import { hasCode } from '../../src/model/errors.ts'
import { until } from './until.ts'

/** Makes a namespace; resolves when it has the ServiceAccount without which no Pod is taken. */
export async function createNamespace(
  api: KubeApi,
  { name, labels = {} }: { readonly name: string; readonly labels?: Readonly<Record<string, string>> },
  signal: AbortSignal,
): Promise<void> {
  await api.create(namespaces, { metadata: { name, labels } }, signal)
  const hasAccount = async (): Promise<boolean> => {
    try {
      await api.get(serviceAccounts, { namespace: name, name: 'default' }, signal)
      return true
    } catch (error) {
      if (hasCode(error, 'NotFound')) return false
      throw error
    }
  }
  await until(`namespace ${name} has its ServiceAccount`, hasAccount, signal)
}
