/** What the translators read of a PeerAuthentication: all of it. */
export const translatedPeerAuthentication: readonly string[] = ['spec'];
