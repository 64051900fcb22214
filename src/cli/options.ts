import { InvalidArgumentError } from 'commander';

/** A parser for commander, whose errors it then shows beside the option's name. */
export function parsed<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (cause) {
      throw new InvalidArgumentError((cause as Error).message);
    }
  };
}
