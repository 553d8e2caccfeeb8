/**
 * The floor under "one port": bundles of as many flows sent straight to as many switches at once, on a bridge of their own,
 * with nothing computed and nothing stored. In two phases, with a barrier before the commit, as a switch that has not
 * taken such flows before gets them; and at once, in one write, as one that has.
 */
import { connect, type Socket } from 'node:net';
import { ByteWriter } from '../../plugins/openvswitch/openflow/bytes.ts';
import { bundleAddFlow } from '../../plugins/openvswitch/openflow/flow-mod.ts';
import { Framer, messageType } from '../../plugins/openvswitch/openflow/frame.ts';
import { barrierRequest, bundleControl, bundleType, hello } from '../../plugins/openvswitch/openflow/messages.ts';
import { encodeFlows, forEachRecord } from '../../plugins/openvswitch/openflow/record.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import type { DummySwitch } from '../../test/support/open-vswitch.ts';

const bridge = 'br-floor';

class Session {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, () => void>();
  #xid = 1;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const framer = new Framer();
    socket.on('data', (chunk) => {
      for (const m of framer.push(chunk)) {
        if (m.type === messageType.barrierReply) this.#waiting.get(m.xid)?.();
        if (m.type === messageType.error) throw new Error('the switch refused a flow of the floor');
      }
    });
    socket.write(hello(0));
  }

  static open(path: string): Promise<Session> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once('connect', () => resolve(new Session(socket)));
      socket.once('error', reject);
    });
  }

  barrier(before: Buffer): Promise<void> {
    const xid = this.#xid++;
    return new Promise((resolve) => {
      this.#waiting.set(xid, resolve);
      this.#socket.write(Buffer.concat([before, barrierRequest(xid)]));
    });
  }

  async bundle(flows: readonly Flow[], atOnce: boolean): Promise<void> {
    const id = this.#xid++;
    const writer = new ByteWriter();
    const bytes = encodeFlows(flows);
    forEachRecord(bytes, (offset) => bundleAddFlow(writer, this.#xid++, id, bytes, offset, 'add'));
    const adds = [bundleControl(this.#xid++, id, bundleType.open), writer.view()];
    const commit = bundleControl(this.#xid++, id, bundleType.commit);
    if (atOnce) {
      await this.barrier(Buffer.concat([...adds, commit]));
      return;
    }
    await this.barrier(Buffer.concat(adds));
    await this.barrier(commit);
  }

  close(): void {
    this.#socket.destroy();
  }
}

function flowsOf(round: number, count: number): Flow[] {
  return Array.from({ length: count }, (_, i) => ({
    table: 40,
    priority: 100,
    cookie: BigInt(round),
    match: { metadata: round, eth_type: 0x0800, eth_dst: 0x0200_0000_0000 + round, ipv4_dst: 0x0a00_0000 + i },
    actions: [{ type: 'setField', field: 'reg7', value: i }],
    goto: 72,
  }));
}

export type Floor = { /** Two phases. */ checked: number[] /** One write. */; atOnce: number[] };

/** Milliseconds of each round, by turns. @param plan flows for the first switch and for each of the others */
export async function measureFloor(
  switches: DummySwitch[],
  plan: { first: number; others: number; rounds: number },
): Promise<Floor> {
  const sessions: Session[] = [];
  for (const s of switches) {
    await s.vsctl(
      'add-br',
      bridge,
      '--',
      'set',
      'Bridge',
      bridge,
      'datapath_type=dummy',
      'fail_mode=secure',
      'protocols=OpenFlow15',
    );
    sessions.push(await Session.open(s.managementPath(bridge)));
  }
  const floor: Floor = { checked: [], atOnce: [] };
  for (let round = 1; round <= 2 * plan.rounds; round++) {
    const atOnce = round % 2 === 0;
    const start = performance.now();
    await Promise.all(sessions.map((s, i) => s.bundle(flowsOf(round, i === 0 ? plan.first : plan.others), atOnce)));
    floor[atOnce ? 'atOnce' : 'checked'].push(performance.now() - start);
  }
  for (const [i, s] of switches.entries()) {
    sessions[i]!.close();
    await s.vsctl('del-br', bridge);
  }
  return floor;
}
