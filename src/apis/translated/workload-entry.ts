/** What the translators read of a WorkloadEntry: all of it. */
export const translatedWorkloadEntry: readonly string[] = ['spec'];
