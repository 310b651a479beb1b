// The text of a PDF by Mozilla's reader, fetched when the first PDF is attached.

import { GlobalWorkerOptions, getDocument } from 'pdfjs-dist';
import worker from 'pdfjs-dist/build/pdf.worker.min.mjs?url';

GlobalWorkerOptions.workerSrc = worker;

const pages_max = 2_000;

export async function text_of_pdf(bytes: Uint8Array): Promise<string> {
  // No code from fonts or files: the page's policy forbids it, and text needs none.
  const task = getDocument({ data: bytes, disableFontFace: true, useWasm: false, verbosity: 0 });
  const document = await task.promise;
  try {
    const pages: string[] = [];
    for (let number = 1; number <= Math.min(document.numPages, pages_max); ++number) {
      const content = await (await document.getPage(number)).getTextContent();
      pages.push(content.items.map((item) => ('str' in item ? item.str + (item.hasEOL ? '\n' : '') : '')).join(''));
    }
    return pages.join('\n\n');
  } finally {
    await task.destroy();
  }
}
