/** The questions of `init`, asked on stderr for what no flag has answered. */
import inquirer from 'inquirer';
import { parseConninfo } from '../config/conninfo.js';
import { type Draft, type DraftNode, withPassword } from '../config/draft.js';
import { NODE_NAME } from '../config/schema.js';
import { messageOf } from '../errors.js';

/** What the flags gave. */
export interface Given {
  readonly cluster: string | undefined;
  readonly nodes: readonly DraftNode[];
  readonly tables: readonly string[] | undefined;
}

/** Tries a node; a line about it when it answers, throws when it does not. */
export type Try = (node: DraftNode) => Promise<string>;

/** stdout is data: questions go to stderr. */
const prompt = () => inquirer.createPromptModule({ output: process.stderr });

const ask = async (question: {
  message: string;
  default?: string;
  validate?: (value: string) => string | boolean;
}): Promise<string> => {
  const { answer } = await prompt()<{ answer: string }>([{ type: 'input', name: 'answer', ...question }]);
  return answer.trim();
};

export async function confirmed(message: string): Promise<boolean> {
  const { answer } = await prompt()<{ answer: boolean }>([
    { type: 'confirm', name: 'answer', message, default: false },
  ]);
  return answer;
}

/** The password is typed unseen; `${VAR}` takes it from the environment at each run. */
async function askPassword(name: string): Promise<string> {
  const { answer } = await prompt()<{ answer: string }>([
    {
      type: 'password',
      name: 'answer',
      mask: false,
      message: `Password of ${name} (unseen; empty for PGPASSWORD or ~/.pgpass, or \${VAR}):`,
    },
  ]);
  return answer;
}

const name = (taken: readonly DraftNode[]) => (value: string) => {
  if (value === '' && taken.length > 0) return true;
  if (!NODE_NAME.test(value)) return 'Lower-case letters, digits and _, a letter first, at most 30.';
  return taken.some((node) => node.name === value) ? `There is a ${value} already.` : true;
};

function validUrl(value: string): string | true {
  try {
    return parseConninfo(value)['password'] === undefined
      ? true
      : 'Leave the password out; it is asked next, unseen.';
  } catch (error) {
    return messageOf(error);
  }
}

/** Asks for what is missing, one node at a time, each tried before the next. */
export async function askDraft(given: Given, attempt: Try, say: (line: string) => void): Promise<Draft> {
  const cluster =
    given.cluster ??
    (await ask({
      message: 'Name of the cluster:',
      default: 'main',
      validate: (value) => value.trim() !== '' || 'A name, please.',
    }));
  const nodes: DraftNode[] = [...given.nodes];
  while (given.nodes.length === 0) {
    const next = await ask({
      message:
        nodes.length === 0
          ? 'Name of the first node (the leader to be):'
          : 'Name of the next node (empty: no more):',
      ...(nodes.length === 0 ? { default: 'n1' } : {}),
      validate: name(nodes),
    });
    if (next === '') break;
    const url = await ask({
      message: `URL of ${next} (postgres://user@host:5432/database):`,
      validate: validUrl,
    });
    const node = { name: next, url: withPassword(url, await askPassword(next)) };
    try {
      say(`  ✓ ${await attempt(node)}`);
    } catch (error) {
      say(`  ✗ ${messageOf(error)}`);
      if (!(await confirmed(`Keep ${next} all the same?`))) continue;
    }
    nodes.push(node);
  }
  const tables =
    given.tables ??
    (
      await ask({
        message: 'Tables to replicate (with commas; app.* for a whole schema):',
        default: 'public.products',
      })
    )
      .split(',')
      .map((table) => table.trim())
      .filter((table) => table !== '');
  return { cluster, nodes, tables };
}
