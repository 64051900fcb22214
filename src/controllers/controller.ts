/** Something that writes to the cluster. Only the leader runs it, and nothing of it is kept between two times of leading. */
export interface Controller {
  /** For the log. */
  readonly name: string;
  /** Until the signal. An error is reported, and the controller begun anew after a while. */
  run(signal: AbortSignal): Promise<void>;
}
