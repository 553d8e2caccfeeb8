/** OpenFlow over a bridge's management socket, as plain as can be: what goes in and comes out is the codec's own. */
import { connect } from 'node:net';
import { Framer, type Message, messageType } from '../../plugins/openvswitch/openflow/frame.ts';
import { barrierRequest, echoReply, hello, multipartType } from '../../plugins/openvswitch/openflow/messages.ts';
import { parseMultipart } from '../../plugins/openvswitch/openflow/replies.ts';

export type Management = AsyncDisposable & {
  /** Sends messages and a barrier; resolves with what came back before the barrier's reply. */
  exchange(...messages: Uint8Array[]): Promise<Message[]>;
  /** Sends one multipart request; resolves with the bodies of its parts. */
  multipart(request: Uint8Array, type: number): Promise<Buffer[]>;
};

const barrierXid = 0x7fffffff;

export async function manage(path: string): Promise<Management> {
  const socket = connect({ path });
  const framer = new Framer();
  const queue: Message[] = [];
  let wake: () => void = () => {};
  let failure: Error | undefined;
  socket.on('data', (chunk) => {
    for (const message of framer.push(chunk)) {
      if (message.type === messageType.echoRequest) socket.write(echoReply(message.xid, message.body));
      else queue.push(message);
    }
    wake();
  });
  socket.on('error', (error) => {
    failure = error;
    wake();
  });
  socket.on('close', () => {
    failure ??= new Error('the switch closed the connection');
    wake();
  });
  async function next(): Promise<Message> {
    for (;;) {
      const message = queue.shift();
      if (message !== undefined) return message;
      if (failure !== undefined) throw failure;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
  socket.write(hello(1));
  const first = await next();
  if (first.type !== messageType.hello) throw new Error(`message type ${first.type} instead of HELLO`);
  const exchange = async (...messages: Uint8Array[]): Promise<Message[]> => {
    for (const message of messages) socket.write(message);
    socket.write(barrierRequest(barrierXid));
    const answers: Message[] = [];
    for (;;) {
      const message = await next();
      if (message.type === messageType.barrierReply && message.xid === barrierXid) return answers;
      answers.push(message);
    }
  };
  return {
    exchange,
    async multipart(request, type) {
      const answers = await exchange(request);
      return answers
        .filter((message) => message.type === messageType.multipartReply)
        .map((message) => parseMultipart(message.body))
        .filter((part) => part.type === (type satisfies number))
        .map((part) => part.body);
    },
    async [Symbol.asyncDispose]() {
      failure = new Error('closed');
      socket.destroy();
    },
  };
}

export { multipartType };
