/** What the translators read of a RequestAuthentication. The rest fails closed: the listeners of its workloads are held back. */
export const translatedRequestAuthentication: readonly string[] = ['spec.selector'];
