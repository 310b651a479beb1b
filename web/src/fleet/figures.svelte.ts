// Looks at this node's /metrics every few seconds while somebody looks at what it shows of them.

import { is_refusal } from '../api/api_error';
import { ask } from '../api/client';
import { figures_of, type Figures } from './metrics';

const pause_ms = 4_000;

class FiguresWatch {
  now = $state.raw<Figures | null>(null); // null: not known, or not for this key

  // Returns how to end it.
  watch(): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let goes_on = true;
    const look = async () => {
      try {
        this.now = figures_of(await (await ask('metrics', { quietly: true })).text());
      } catch (error) {
        this.now = null; // the view says elsewhere if nobody answers
        if (is_refusal(error)) return;
      }
      if (goes_on) timer = setTimeout(() => void look(), pause_ms);
    };
    void look();
    return () => ((goes_on = false), clearTimeout(timer));
  }
}

export const figures = new FiguresWatch();
