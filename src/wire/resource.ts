/** One resource as it is kept: encoded once, shared by every part and stream that has it. */
export interface EncodedResource {
  readonly name: string;
  /** Hash of `bytes`. Equal bytes are no change. */
  readonly version: string;
  /**
   * The encoded message. A VirtualHost is kept without its name (field 1) and a RouteConfiguration of a table with virtual hosts of its own without
   * `vhds` (9) and without those `virtual_hosts` (2): both depend on the protocol and are appended on sending.
   */
  readonly bytes: Uint8Array;
  /** RouteConfiguration only: its virtual hosts are the resources `<name>/...` of the VirtualHost tables. */
  readonly vhds?: boolean;
  /** VirtualHost only, of one stream alone: the names that its proxy has asked for on demand and that this host answers. */
  readonly aliases?: readonly string[];
}
