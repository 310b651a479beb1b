// What to paste into other programs so that they use this fleet. Only what works today is here.

export interface Host {
  root: string; // http://127.0.0.1:52415, which some programs lengthen themselves
  base: string; // http://127.0.0.1:52415/v1
  model: string;
  key: string | null; // what stands where a key is wanted; null: none is
  context_tokens: number | null; // as it is loaded, else what it was trained for; null: not known
  has_tools: boolean | null; // whether its chat template knows tools; null: not known
}

export interface Recipe {
  id: string;
  name: string;
  about: string;
  place: string; // where the text goes
  wants_tools?: boolean; // an agent: without tools it cannot work
  text: (host: Host) => string;
}

// What agents send before anybody has asked something leaves little of less than this.
export const agent_context_tokens = 48_000;

const no_key = 'none'; // programs want something; this node does not mind what
// A name inside a quoted string of JSON, YAML, TOML, Python or JavaScript: all of them read JSON's quotes.
const quoted = (text: string) => JSON.stringify(text);
const for_shell = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

export const recipes: Recipe[] = [
  {
    id: 'claude-code',
    name: 'Claude Code',
    about: 'Its agent in a terminal. It then uses this model for everything, also for what it asks of a small one.',
    place: 'In the terminal where it shall run',
    wants_tools: true,
    text: ({ root, model, key, context_tokens }) =>
      [
        `export ANTHROPIC_BASE_URL=${for_shell(root)}`,
        `export ANTHROPIC_AUTH_TOKEN=${for_shell(key ?? no_key)}`,
        `unset ANTHROPIC_API_KEY                            # would come before it`,
        `export ANTHROPIC_MODEL=${for_shell(model)}`,
        `export ANTHROPIC_DEFAULT_OPUS_MODEL="$ANTHROPIC_MODEL"`,
        `export ANTHROPIC_DEFAULT_SONNET_MODEL="$ANTHROPIC_MODEL"`,
        `export ANTHROPIC_DEFAULT_HAIKU_MODEL="$ANTHROPIC_MODEL"`,
        ...(context_tokens ? [`export CLAUDE_CODE_MAX_CONTEXT_TOKENS=${context_tokens}`] : []),
        `export CLAUDE_CODE_ATTRIBUTION_HEADER=0            # else no prompt begins like the one before`,
        `export CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1`,
        `claude`,
      ].join('\n'),
  },
  {
    id: 'codex',
    name: 'Codex CLI',
    about: 'Its agent in a terminal, by the Responses API. That it does not know this model is a warning, no fault.',
    place: '~/.codex/config.toml, before all tables that are there',
    wants_tools: true,
    text: ({ base, model, key, context_tokens }) =>
      [
        `model = ${quoted(model)}`,
        `model_provider = "flotilla"`,
        ...(context_tokens ? [`model_context_window = ${context_tokens}`] : []),
        ``,
        `[model_providers.flotilla]`,
        `name = "Flotilla"`,
        `base_url = ${quoted(base)}`,
        `wire_api = "responses"`,
        ...(key === null ? [] : [`env_key = "FLOTILLA_API_KEY"   # export FLOTILLA_API_KEY=${key}`]),
      ].join('\n'),
  },
  {
    id: 'open-webui',
    name: 'Open WebUI',
    about: 'It lists the models of the fleet by itself. The page is then at port 8080 of the machine it runs on.',
    place: 'In a terminal of a machine with Docker',
    text: ({ base, key }) => `docker run -d --name open-webui --network host \\
  -e OPENAI_API_BASE_URL=${for_shell(base)} \\
  -e OPENAI_API_KEY=${for_shell(key ?? no_key)} \\
  -e ENABLE_OLLAMA_API=false \\
  -v open-webui:/app/backend/data \\
  ghcr.io/open-webui/open-webui:main`,
  },
  {
    id: 'continue',
    name: 'Continue',
    about: 'Chat and editing in VS Code and JetBrains; its agent too, where the model knows tools.',
    place: '~/.continue/config.yaml',
    text: ({ base, model, key, context_tokens, has_tools }) =>
      [
        `name: Flotilla`,
        `version: 0.0.1`,
        `schema: v1`,
        `models:`,
        `  - name: ${quoted(model)}`,
        `    provider: openai`,
        `    model: ${quoted(model)}`,
        `    apiBase: ${quoted(base)}`,
        `    apiKey: ${quoted(key ?? no_key)}`,
        `    roles: [chat, edit, apply]`,
        ...(has_tools ? [`    capabilities: [tool_use]`] : []),
        ...(context_tokens ? [`    defaultCompletionOptions:`, `      contextLength: ${context_tokens}`] : []),
      ].join('\n'),
  },
  {
    id: 'ollama',
    name: 'Ollama clients',
    about: "Whatever speaks Ollama's API: its command line, its libraries, programs that ask for an Ollama address.",
    place: 'In a terminal',
    text: ({ root, model, key }) =>
      [
        `export OLLAMA_HOST=${for_shell(root)}`,
        ...(key === null
          ? [`ollama list`, `ollama run ${for_shell(model)}`]
          : [
              `# The command line sends no key; its Python library does:`,
              `python3 - <<'END'`,
              `import ollama`,
              `client = ollama.Client(headers={"Authorization": ${quoted(`Bearer ${key}`)}})`,
              `for part in client.chat(model=${quoted(model)}, messages=[{"role": "user", "content": "Why is the sky blue?"}], stream=True):`,
              `    print(part.message.content, end="", flush=True)`,
              `END`,
            ]),
      ].join('\n'),
  },
  {
    id: 'curl',
    name: 'curl',
    about: 'The shortest way to see an answer stream.',
    place: 'In a terminal',
    text: ({ base, model, key }) =>
      [
        `curl -N ${for_shell(`${base}/chat/completions`)} \\`,
        `  -H 'Content-Type: application/json' \\`,
        ...(key === null ? [] : [`  -H ${for_shell(`Authorization: Bearer ${key}`)} \\`]),
        `  -d ${for_shell(
          JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: 'Why is the sky blue?' }] }),
        )}`,
      ].join('\n'),
  },
  {
    id: 'python',
    name: 'OpenAI, Python',
    about: 'The official library, unmodified.',
    place: 'After: pip install openai',
    text: ({ base, model, key }) => `from openai import OpenAI

client = OpenAI(base_url=${quoted(base)}, api_key=${quoted(key ?? no_key)})
stream = client.chat.completions.create(
    model=${quoted(model)},
    messages=[{"role": "user", "content": "Why is the sky blue?"}],
    stream=True,
)
for event in stream:
    if event.choices:
        print(event.choices[0].delta.content or "", end="", flush=True)`,
  },
  {
    id: 'node',
    name: 'OpenAI, Node.js',
    about: 'The official library, unmodified.',
    place: 'After: npm install openai',
    text: ({ base, model, key }) => `import OpenAI from "openai";

const client = new OpenAI({ baseURL: ${quoted(base)}, apiKey: ${quoted(key ?? no_key)} });
const stream = await client.chat.completions.create({
  model: ${quoted(model)},
  messages: [{ role: "user", content: "Why is the sky blue?" }],
  stream: true,
});
for await (const event of stream) {
  process.stdout.write(event.choices[0]?.delta?.content ?? "");
}`,
  },
];

// What should be known before an agent is started with this model.
export function warnings_of(recipe: Recipe, { has_tools, context_tokens }: Host): string[] {
  if (!recipe.wants_tools) return [];
  return [
    ...(has_tools === false
      ? ['This model’s chat template knows no tools, so this program’s requests will be refused. Choose another one.']
      : []),
    ...(context_tokens && context_tokens < agent_context_tokens
      ? [
          `This model has ${context_tokens.toLocaleString('en')} tokens of context; agents fill some ten thousand before you ` +
            `ask anything. Load one with 64k or more.`,
        ]
      : []),
  ];
}
