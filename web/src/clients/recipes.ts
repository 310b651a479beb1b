// What to paste into other programs so that they use this fleet. Only what works today is here.

export interface Host {
  base: string; // http://127.0.0.1:52415/v1
  model: string;
  key: string; // what stands where a key is wanted
}

export interface Recipe {
  id: string;
  name: string;
  about: string;
  place: string; // where the text goes
  text: (host: Host) => string;
}

// A name inside a quoted string of JSON, YAML, Python or JavaScript: all of them read JSON's quotes.
const quoted = (text: string) => JSON.stringify(text);
const for_shell = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

export const recipes: Recipe[] = [
  {
    id: 'curl',
    name: 'curl',
    about: 'The shortest way to see an answer stream.',
    place: 'In a terminal',
    text: ({ base, model, key }) =>
      `curl -N ${base}/chat/completions \\
  -H 'Content-Type: application/json' \\
  -H ${for_shell(`Authorization: Bearer ${key}`)} \\
  -d ${for_shell(
    JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: 'Why is the sky blue?' }] }),
  )}`,
  },
  {
    id: 'python',
    name: 'OpenAI, Python',
    about: 'The official library, unmodified.',
    place: 'After: pip install openai',
    text: ({ base, model, key }) => `from openai import OpenAI

client = OpenAI(base_url=${quoted(base)}, api_key=${quoted(key)})
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

const client = new OpenAI({ baseURL: ${quoted(base)}, apiKey: ${quoted(key)} });
const stream = await client.chat.completions.create({
  model: ${quoted(model)},
  messages: [{ role: "user", content: "Why is the sky blue?" }],
  stream: true,
});
for await (const event of stream) {
  process.stdout.write(event.choices[0]?.delta?.content ?? "");
}`,
  },
  {
    id: 'open-webui',
    name: 'Open WebUI',
    about: 'It lists the models of the fleet by itself.',
    place: 'Settings of its container',
    text: ({ base, key }) => `docker run -d --name open-webui --network host \\
  -e OPENAI_API_BASE_URL=${for_shell(base)} \\
  -e OPENAI_API_KEY=${for_shell(key)} \\
  -e ENABLE_OLLAMA_API=false \\
  -v open-webui:/app/backend/data \\
  ghcr.io/open-webui/open-webui:main`,
  },
  {
    id: 'continue',
    name: 'Continue',
    about: 'Chat in VS Code and JetBrains. Its agent mode needs tools, which are not there yet.',
    place: '~/.continue/config.yaml',
    text: ({ base, model, key }) => `name: Flotilla
version: 0.0.1
schema: v1
models:
  - name: ${quoted(model)}
    provider: openai
    model: ${quoted(model)}
    apiBase: ${base}
    apiKey: ${quoted(key)}
    roles: [chat, edit]`,
  },
];
