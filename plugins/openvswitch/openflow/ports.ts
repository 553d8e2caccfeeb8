/** OpenFlow port numbers: 32 bits since OpenFlow 1.1, 16 bits in Nicira's older actions. */

import { reservedPort } from '../../../src/pipeline/flow.ts';

const firstReserved = 0xffffff00;
/** OFPP_MAX of OpenFlow 1.0: Open vSwitch's own ports have smaller numbers. */
export const highestPort = 0xfeff;

/** Names of ovs-ofctl for reserved ports. OpenFlow 1.5.1 section 7.2.1. */
export const reservedPortNames: ReadonlyMap<number, string> = new Map([
  [reservedPort.inPort, 'IN_PORT'],
  [0xfffffff9, 'TABLE'],
  [0xfffffffa, 'NORMAL'],
  [0xfffffffb, 'FLOOD'],
  [0xfffffffc, 'ALL'],
  [reservedPort.controller, 'CONTROLLER'],
  [reservedPort.local, 'LOCAL'],
  [reservedPort.any, 'ANY'],
]);

export function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 0 && (port <= highestPort || (port >= firstReserved && port <= 0xffffffff));
}

/** Throws an Error on what no port of Open vSwitch can be. */
export function checkPort(port: number, use: string): number {
  if (!isPort(port)) throw new Error(`${use}: ${port} is no port number`);
  return port;
}

/** The 16-bit form. */
export function toLegacyPort(port: number): number {
  return port & 0xffff;
}

export function fromLegacyPort(port: number): number {
  return port > highestPort ? (0xffff0000 | port) >>> 0 : port;
}
