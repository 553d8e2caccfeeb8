/** The beginning of an OpenFlow session: which version, which switch. OpenFlow 1.5.1 section 6.3.1. */

import { ByteWriter } from '../openflow/bytes.ts';
import { type Message, messageType, openflowVersion } from '../openflow/frame.ts';
import { featuresRequest, hello } from '../openflow/messages.ts';
import {
  capability,
  type Features,
  offersOpenFlow15,
  parseError,
  parseFeatures,
  parseHello,
} from '../openflow/replies.ts';
import { type Connection, ConnectionClosed } from './connection.ts';

/** The other end is not a switch we can work with; the message says why. */
export class HandshakeFailed extends Error {
  override readonly name = 'HandshakeFailed';
}

/**
 * @param timeout milliseconds
 * @throws HandshakeFailed, ConnectionClosed
 */
export function handshake(connection: Connection, timeout: number): Promise<Features> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => fail(new HandshakeFailed(`no datapath id within ${timeout / 1000} s`)), timeout);
    const settle = (): void => {
      clearTimeout(timer);
      connection.onMessage = () => {};
      connection.onClose = () => {};
    };
    const fail = (error: Error): void => {
      settle();
      reject(error);
    };
    connection.onClose = (reason) => fail(new ConnectionClosed(reason));
    connection.onMessage = (message) => {
      try {
        const features = step(connection, message);
        if (features === undefined) return;
        settle();
        resolve(features);
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)));
      }
    };
    connection.send(hello(connection.xids()));
  });
}

function step(connection: Connection, message: Message): Features | undefined {
  if (message.type === messageType.hello) {
    const offer = parseHello(message);
    if (!offersOpenFlow15(offer)) {
      const offered = offer.versions.map(versionName).join(', ');
      const reason = `the switch offers OpenFlow ${offered}, and 1.5 is required; set protocols=OpenFlow15 on its bridge`;
      connection.send(incompatible(message.xid, reason));
      throw new HandshakeFailed(reason);
    }
    connection.send(featuresRequest(connection.xids()));
  } else if (message.type === messageType.featuresReply) {
    const features = parseFeatures(message.body);
    if ((features.capabilities & capability.bundles) === 0) throw new HandshakeFailed('the switch knows no bundles');
    if (features.auxiliaryId !== 0) throw new HandshakeFailed('auxiliary connections are not used');
    return features;
  } else if (message.type === messageType.error) {
    throw new HandshakeFailed(`the switch answers ${parseError(message.body).name}`);
  }
  // Anything else is early for a switch, and harmless.
  return undefined;
}

/** 0x04 is 1.3. */
function versionName(version: number): string {
  return version >= 1 && version <= 6 ? `1.${version - 1}` : `0x${version.toString(16)}`;
}

/** OFPET_HELLO_FAILED with OFPHFC_INCOMPATIBLE. */
function incompatible(xid: number, text: string): Buffer {
  const writer = new ByteWriter(256);
  writer.u8(openflowVersion);
  writer.u8(messageType.error);
  writer.u16(0);
  writer.u32(xid);
  writer.u16(0);
  writer.u16(0);
  writer.bytes(Buffer.from(text, 'ascii'));
  writer.setU16(2, writer.length);
  return writer.view();
}
