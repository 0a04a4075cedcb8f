/** Findings in the order of their gravity. Pure. */
import type { Finding, Severity } from './model.js';

/** The gravest first. */
export const SEVERITIES: readonly Severity[] = ['critical', 'error', 'warning', 'info'];

/** For sorting, the gravest first. */
export const bySeverity = (a: Finding, b: Finding): number =>
  SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity);
