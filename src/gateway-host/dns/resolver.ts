/** From the bytes of a query to those of its answer, for one port. RFC 1035, 6891 (EDNS), 7766 (TCP). */
import { type Answer, type DecodedPacket, decode, encode, type Packet } from 'dns-packet';
import { formatIpv4 } from '../../intent/addresses.ts';
import { serviceAddress } from '../../pipeline/stages/services.ts';
import type { Port } from '../served.ts';
import { endOfQuestion, type Forwarder, mayBeAsked, type Upstream } from './forwarder.ts';
import { answerName, faultOf } from './names.ts';

export type ResolverOptions = {
  forwarder: Forwarder;
  /** The host's own resolvers, in the order they are to be asked. */
  hostResolvers(): readonly Upstream[];
  /** Addresses of the host, which no tenant may have asked. */
  ownAddresses(): ReadonlySet<string>;
};

/** Flags of the header; the codes are in its low bits. */
const flags = {
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
} as const;
const codes = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;

/** Bytes of a UDP answer: without EDNS (RFC 1035 section 2.3.4), and at most (dnsflagday.net/2020). */
const plainSize = 512;
const largestSize = 1_232;

const server = formatIpv4(serviceAddress.value);

export class Resolver {
  readonly #options: ResolverOptions;

  constructor(options: ResolverOptions) {
    this.#options = options;
  }

  /** Undefined: what came is no query, and nothing is to be said. */
  async answer(port: Port, bytes: Buffer, over: 'udp' | 'tcp'): Promise<Buffer | undefined> {
    // Shorter than a header, or an answer itself.
    if (bytes.length < 12 || bytes[2]! >> 7 === 1) return undefined;
    let query: DecodedPacket;
    try {
      query = decode(bytes);
    } catch {
      // The library throws whatever it stumbles over.
      return refuse(bytes, codes.FORMERR);
    }
    const fault = faultOf(query);
    if (fault !== undefined) return refuse(bytes, codes[fault]);
    const question = query.questions![0]!;
    const found = answerName(port.network, question, server);
    if (found !== undefined) {
      const code = found.exists ? codes.NOERROR : codes.NXDOMAIN;
      const { answers, authorities } = found;
      return respond(query, { answers, authorities }, flags.authoritative | code, over);
    }
    // Nobody has asked for more than is known here.
    if (!query.flag_rd) return refuse(bytes, codes.REFUSED);
    const answer = await this.#options.forwarder.ask(port, bytes, this.#upstreamsOf(port), over);
    return answer ?? refuse(bytes, codes.SERVFAIL);
  }

  #upstreamsOf({ network }: Port): readonly Upstream[] {
    const { dnsServers } = network.told;
    if (dnsServers.length === 0) return this.#options.hostResolvers();
    const own = this.#options.ownAddresses();
    return dnsServers.filter((address) => mayBeAsked(address, own)).map((address) => ({ address, port: 53 }));
  }
}

function respond(
  query: DecodedPacket,
  { answers, authorities }: { answers: Answer[]; authorities: Answer[] },
  bits: number,
  over: 'udp' | 'tcp',
): Buffer {
  const edns = query.additionals?.find((record) => record.type === 'OPT');
  const packet: Packet = {
    type: 'response',
    id: query.id ?? 0,
    flags: bits | flags.recursionAvailable | (query.flag_rd ? flags.recursionDesired : 0),
    questions: query.questions ?? [],
    answers,
    authorities,
    additionals:
      edns === undefined
        ? []
        : [
            {
              type: 'OPT',
              name: '.',
              udpPayloadSize: largestSize,
              extendedRcode: 0,
              ednsVersion: 0,
              flags: 0,
              flag_do: false,
              options: [],
            },
          ],
  };
  const bytes = encode(packet);
  const offered = edns?.type === 'OPT' ? edns.udpPayloadSize : plainSize;
  const room = over === 'tcp' ? 65_535 : Math.max(plainSize, Math.min(offered, largestSize));
  if (bytes.length <= room) return bytes;
  // The rest is to be asked for over TCP.
  return encode({ ...packet, flags: packet.flags! | flags.truncated, answers: [], authorities: [] });
}

/** The header and question as they came, with a code. */
function refuse(query: Buffer, code: number): Buffer {
  const end = endOfQuestion(query);
  const bytes = Buffer.from(query.subarray(0, end ?? 12));
  const desired = (query.readUInt16BE(2) & flags.recursionDesired) | (query.readUInt16BE(2) & 0x7800);
  bytes.writeUInt16BE(0x8000 | desired | flags.recursionAvailable | code, 2);
  bytes.writeUInt16BE(end === undefined ? 0 : 1, 4);
  bytes.fill(0, 6, 12);
  return bytes;
}
