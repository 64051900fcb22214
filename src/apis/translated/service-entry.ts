/** What the translators read of a ServiceEntry. A path stands for everything below it; `=` lists the values that are read. */
export const translatedServiceEntry: readonly string[] = [
  'spec.hosts',
  'spec.addresses',
  'spec.ports',
  'spec.location',
  'spec.resolution=NONE|STATIC|DNS|DNS_ROUND_ROBIN',
  'spec.endpoints',
  'spec.exportTo',
  'spec.subjectAltNames',
  'spec.workloadSelector',
];
