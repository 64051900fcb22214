/** What Istio's validating webhook refuses or warns of, beyond structure; by kind. */
import type { ConfigObject } from '../object.ts';
import type { Report } from '../structure.ts';

export type Validator = (object: ConfigObject, report: Report) => void;

export const validators: Readonly<Record<string, Validator>> = {};
