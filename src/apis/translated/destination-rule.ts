/** What the translators read of a traffic policy, wherever it stands. */
const trafficPolicy: readonly string[] = [
  'loadBalancer.simple',
  'loadBalancer.consistentHash',
  'loadBalancer.localityLbSetting',
  'loadBalancer.warmup',
  'loadBalancer.warmupDurationSecs',
  'connectionPool',
  'outlierDetection',
  'tls.mode=DISABLE|SIMPLE|MUTUAL|ISTIO_MUTUAL',
  'tls.clientCertificate',
  'tls.privateKey',
  'tls.caCertificates',
  'tls.subjectAltNames',
  'tls.sni',
  'tls.insecureSkipVerify',
  'tls.caCrl',
  // Read to leave the cluster out: without it the connection would be unprotected.
  'tls.credentialName',
];

const trafficPolicies = ['spec.trafficPolicy', 'spec.subsets[].trafficPolicy'];

/** What the translators read of a DestinationRule. A path stands for everything below it; `[]` is any element of a list. */
export const translatedDestinationRule: readonly string[] = [
  'spec.host',
  'spec.exportTo',
  'spec.subsets[].name',
  'spec.subsets[].labels',
  ...trafficPolicies.flatMap((at) => [
    ...trafficPolicy.map((path) => `${at}.${path}`),
    `${at}.retryBudget.percent`,
    `${at}.retryBudget.minRetryConcurrency`,
    `${at}.portLevelSettings[].port`,
    ...trafficPolicy.map((path) => `${at}.portLevelSettings[].${path}`),
  ]),
];
