// One answer of /v1/chat/completions as it comes.

import { error_in, unreachable } from '../api/api_error';
import { ask } from '../api/client';
import { lines_of } from '../api/lines';
import { SseParser } from '../api/sse';
import { Joiner } from '../text/thinking';
import type { Message } from './conversation';

export interface Question {
  model: string;
  messages: Message[];
  temperature: number | null;
  tokens_max: number | null;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  cached_tokens: number;
}

// What a node says while it is silent: it reads a long prompt, or a machine was lost and the model is loaded again.
export type Silence = 'reading' | 'waiting';

export interface Listener {
  on_text(text: string): void;
  on_silence(silence: Silence): void;
}

export interface AnswerEnd {
  reason: string; // stop, length
  usage: Usage | null;
}

interface Chunk {
  error?: unknown;
  choices?: { delta?: { content?: string | null; reasoning_content?: string }; finish_reason?: string | null }[];
  usage?: {
    prompt_tokens: number;
    completion_tokens: number;
    prompt_tokens_details?: { cached_tokens?: number };
  } | null;
}

function body_of(question: Question): object {
  return {
    model: question.model,
    messages: question.messages,
    stream: true,
    stream_options: { include_usage: true },
    ...(question.temperature === null ? {} : { temperature: question.temperature }),
    ...(question.tokens_max === null ? {} : { max_tokens: question.tokens_max }),
  };
}

export async function stream_answer(question: Question, signal: AbortSignal, listener: Listener): Promise<AnswerEnd> {
  const response = await ask('v1/chat/completions', { body: body_of(question), signal });
  if (!response.body) throw unreachable();
  const end: AnswerEnd = { reason: '', usage: null };
  const parser = new SseParser();
  const joiner = new Joiner();
  for await (const line of lines_of(response.body)) {
    const item = parser.line(line);
    if (item?.kind === 'comment') listener.on_silence(item.text === 'waiting' ? 'waiting' : 'reading');
    if (item?.kind !== 'event') continue;
    if (item.data === '[DONE]') return end;
    take(JSON.parse(item.data) as Chunk, end, joiner, listener);
  }
  throw error_in({ message: 'The connection broke before the answer was whole.', code: 'broken' });
}

function take(chunk: Chunk, end: AnswerEnd, joiner: Joiner, listener: Listener): void {
  if (chunk.error) throw error_in(chunk.error);
  const choice = chunk.choices?.[0];
  if (choice?.delta?.reasoning_content) listener.on_text(joiner.thought(choice.delta.reasoning_content));
  if (choice?.delta?.content) listener.on_text(joiner.said(choice.delta.content));
  if (choice?.finish_reason) end.reason = choice.finish_reason;
  if (!chunk.usage) return;
  end.usage = {
    prompt_tokens: chunk.usage.prompt_tokens,
    completion_tokens: chunk.usage.completion_tokens,
    cached_tokens: chunk.usage.prompt_tokens_details?.cached_tokens ?? 0,
  };
}
