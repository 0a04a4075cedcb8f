/** A drill as it goes on, on stderr: drawn over itself on a terminal, a line for each step in a pipe. */
import type { StepLine } from '../drill/history.js';
import type { Live } from '../drill/live.js';
import type { DrillWatch } from '../drill/watch.js';
import type { Style } from '../ui/color.js';
import { renderBriefing, renderLive, renderStep } from '../ui/drill.js';
import { type Live as Drawn, live as draw } from './live.js';

export interface DrawnWatch extends DrillWatch {
  end(): void;
}

export function drillWatch(stream: NodeJS.WriteStream, style: Style, quiet: boolean): DrawnWatch {
  const { c } = style;
  const began = new Map<number, StepLine>();
  let drawn: Drawn | undefined;
  let now = (): number => 0;
  let doing = '';
  let shown: Live | undefined;
  const tell = (text: string): void => {
    if (drawn) drawn.print(text);
    else stream.write(`${text}\n`);
  };
  const print = (line: string): void => {
    if (!quiet) tell(line);
  };
  const drawing = (lines: (frame: string) => readonly string[]): void => {
    if (!quiet && stream.isTTY) drawn ??= draw(stream, lines);
  };
  return {
    tell,
    begin(run, scenario, schedule) {
      const count = schedule.steps.length;
      print(`${c.bold(scenario.title)}  ${c.dim(count === 0 ? run : `${run}, ${String(count)} steps`)}`);
      drawing((frame) =>
        shown === undefined || doing !== ''
          ? [`${c.cyan(frame)} ${doing}`]
          : renderLive(shown.view(now()), frame, style),
      );
    },
    say(text) {
      doing = text;
      if (!stream.isTTY) print(c.dim(`             ${text}`));
    },
    playing(live, clock) {
      shown = live;
      now = clock;
      doing = '';
    },
    step(line) {
      if (line.phase === 'began') began.set(line.index, line);
      else print(renderStep(line, began.get(line.index), style));
    },
    judging() {
      doing = 'the last answers, then what is there';
    },
    end() {
      drawn?.stop();
      drawn = undefined;
    },
  };
}

/** The same without a word of what is done to the servers: that is for the operator to find out. */
export function gameDayWatch(stream: NodeJS.WriteStream, style: Style, quiet: boolean): DrawnWatch {
  const watch = drillWatch(stream, style, quiet);
  return {
    ...watch,
    begin(run, scenario, schedule) {
      watch.begin(run, { ...scenario, title: 'Game day' }, { ...schedule, steps: [] });
    },
    playing(live, now, operate) {
      const blind = { ...live, view: (ms: number) => ({ ...live.view(ms), step: null }) };
      watch.playing(blind, now, operate);
      watch.tell(renderBriefing(operate ?? '', style));
    },
    step: () => undefined,
  };
}
