// Light or dark: as the system has it, until a person says otherwise.

export const themes = ['system', 'light', 'dark'] as const;
export type Theme = (typeof themes)[number];

const place = 'flotilla.theme';

function kept(): Theme {
  const name = localStorage.getItem(place);
  return themes.find((theme) => theme === name) ?? 'system';
}

class ThemeChoice {
  value = $state<Theme>(kept());

  apply(): void {
    if (this.value === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = this.value;
  }

  step(): void {
    this.value = themes[(themes.indexOf(this.value) + 1) % themes.length] ?? 'system';
    localStorage.setItem(place, this.value);
    this.apply();
  }
}

export const theme = new ThemeChoice();
