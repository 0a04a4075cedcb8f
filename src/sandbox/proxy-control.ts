/** Starts, stops and commands the proxy process. */
import { RepctlError } from '../errors.js';
import type { ProxyInfo, Sandbox } from './model.js';

/* eslint-disable @typescript-eslint/no-unused-vars */
export function startProxy(_sandbox: Sandbox, _signal?: AbortSignal): Promise<ProxyInfo> {
  return Promise.reject(new RepctlError('not-yet', 'The proxy comes next.'));
}

export function stopProxy(_proxy: ProxyInfo): Promise<void> {
  return Promise.resolve();
}
