// Files → text, here in the browser. Nothing is uploaded but the text that is asked about.

import type { Attachment } from './conversation';

export const file_bytes_max = 32 << 20;
export const text_characters_max = 1_000_000; // some 250,000 tokens: more than models here can read

export class UnreadableFile extends Error {}

export async function read_attachment(file: File): Promise<Attachment> {
  if (file.size > file_bytes_max) {
    throw new UnreadableFile(`${file.name} is larger than ${file_bytes_max >> 20} MiB.`);
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  const text = is_pdf(bytes) ? await pdf_text(file.name, bytes) : plain_text(file.name, bytes);
  if (text.length > text_characters_max) {
    throw new UnreadableFile(`${file.name} holds more text than a model can read at once.`);
  }
  return { name: file.name, text };
}

function is_pdf(bytes: Uint8Array): boolean {
  return String.fromCharCode(...bytes.subarray(0, 5)) === '%PDF-';
}

export function plain_text(name: string, bytes: Uint8Array): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (!text.includes('\0')) return text;
  } catch {
    // Not UTF-8: said below.
  }
  throw new UnreadableFile(`${name} is neither text nor PDF.`);
}

async function pdf_text(name: string, bytes: Uint8Array): Promise<string> {
  const { text_of_pdf } = await import('./pdf');
  let text: string;
  try {
    text = await text_of_pdf(bytes);
  } catch (error) {
    throw new UnreadableFile(`${name} could not be read as PDF: ${error instanceof Error ? error.message : 'broken'}.`);
  }
  if (text.trim()) return text;
  throw new UnreadableFile(`${name} holds no text: its pages seem to be pictures.`);
}
