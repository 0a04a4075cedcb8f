/** Who is at work. */
import { hostname, userInfo } from 'node:os';

/** `user@host`, for the records and for whoever finds the lock taken. */
export function operatorName(): string {
  let user = 'unknown';
  try {
    user = userInfo().username;
  } catch {
    // A uid without an account (containers) has no name.
  }
  return `${user}@${hostname()}`;
}
