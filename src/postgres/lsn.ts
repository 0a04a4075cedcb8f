/**
 * LSN arithmetic. An LSN travels as the server's text (`0/5A3F210`) and is compared as a number: version 19
 * pads the text with zeros, so comparing texts is wrong. LSNs of different nodes are never comparable.
 */

/** The server's text form of a WAL position. */
export type Lsn = string;

export const ZERO_LSN: Lsn = '0/0';

/** `A/B` (hexadecimal halves) as a number of bytes. Throws RangeError when it is no LSN. */
export function lsnToNumber(lsn: Lsn): bigint {
  const match = /^([0-9a-f]{1,8})\/([0-9a-f]{1,8})$/i.exec(lsn);
  if (!match) throw new RangeError(`not an LSN: ${lsn}`);
  return (BigInt(`0x${match[1] ?? '0'}`) << 32n) | BigInt(`0x${match[2] ?? '0'}`);
}

/** The inverse of {@link lsnToNumber}, in the form PostgreSQL 18 prints. */
export function numberToLsn(value: bigint): Lsn {
  return `${(value >> 32n).toString(16)}/${(value & 0xffff_ffffn).toString(16)}`.toUpperCase();
}

/** Negative, zero or positive, as `a` is before, at or past `b`. */
export function compareLsn(a: Lsn, b: Lsn): number {
  const difference = lsnToNumber(a) - lsnToNumber(b);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** Bytes from `from` to `to`; negative when `to` is before `from`. */
export function lsnDistance(from: Lsn, to: Lsn): number {
  return Number(lsnToNumber(to) - lsnToNumber(from));
}

/** The later of two positions. */
export function maxLsn(a: Lsn, b: Lsn): Lsn {
  return compareLsn(a, b) >= 0 ? a : b;
}

/** The earlier of two positions. */
export function minLsn(a: Lsn, b: Lsn): Lsn {
  return compareLsn(a, b) <= 0 ? a : b;
}
