/** What the translators read of a Sidecar. A path stands for everything below it; `[]` is any element of a list. */
export const translatedSidecar: readonly string[] = [
  'spec.workloadSelector',
  'spec.egress[].port',
  'spec.egress[].bind',
  'spec.egress[].captureMode',
  'spec.egress[].hosts',
  'spec.ingress[].port',
  'spec.ingress[].bind',
  'spec.ingress[].captureMode',
  'spec.ingress[].defaultEndpoint',
  'spec.outboundTrafficPolicy.mode',
];
