// Which view is shown, told by the part of the address behind "#": a reload stays, and "back" works.

export const views = ['chat', 'fleet', 'models', 'members', 'connect'] as const;
export type View = (typeof views)[number];

function from_address(): View {
  const name = location.hash.replace(/^#\/?/, '');
  return views.find((view) => view === name) ?? 'chat';
}

class Place {
  view = $state<View>(from_address());

  constructor() {
    addEventListener('hashchange', () => (this.view = from_address()));
  }
}

export const place = new Place();
