import type { PriceBook } from '../model/price-book.ts'
import { alibabaEciIntl } from './price-books/alibaba-eci-intl-2025-11-04.ts'
import { awsFargate } from './price-books/aws-fargate-us-east-1-2026-03.ts'
import { flatDemo } from './price-books/flat-demo.ts'
import { tencentEksIntl } from './price-books/tencent-eks-intl-2023-06-30.ts'

/** The books that come with Spillway; the first is the default of a pool that names none. */
export const shippedPriceBooks: readonly PriceBook[] = [tencentEksIntl, awsFargate, alibabaEciIntl, flatDemo]
