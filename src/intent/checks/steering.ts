/** Steering: a chain passes every port once, and none of those it begins or ends at. */
import type { Concern } from './concern.ts';

export const steeringChain: Concern<'steering'> = {
  judge({ from, to, via }, report) {
    via.forEach((port, i) => {
      const field = `/via/${i}`;
      if (via.indexOf(port) < i) report(field, 'steering.repeated', `Port ${port} is in the chain twice`);
      else if (port === from.port || port === to.port)
        report(field, 'steering.loop', `Port ${port} is where the traffic ${port === from.port ? 'begins' : 'ends'}`);
    });
  },
};
