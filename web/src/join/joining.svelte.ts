// This machine's joining of another one's fleet, by a token or by six digits. It goes on while other views are shown.

import { message_of } from '../api/api_error';
import { post, post_lines } from '../api/client';

class Joining {
  digits = $state<{ code: string; machine: string } | null>(null); // which both machines show
  is_under_way = $state(false);
  is_confirmed = $state(false); // here; the other machine's approval may be missing still
  trouble = $state<string | null>(null);
  joined_by = $state<string | null>(null);

  async begin(token: string): Promise<void> {
    this.is_under_way = true;
    this.is_confirmed = false;
    this.trouble = null;
    try {
      const wish = token ? { token } : {};
      const joined = await post_lines<{ code: string; machine: string }, { by: string }>('join', wish, 'joined', {
        on_progress: (digits) => (this.digits = digits),
      });
      this.joined_by = joined.by;
    } catch (error) {
      this.trouble = message_of(error);
    }
    this.digits = null;
    this.is_under_way = false;
  }

  async confirm(): Promise<void> {
    if (!this.digits) return;
    this.is_confirmed = true;
    try {
      await post('join', { confirm: this.digits.code });
    } catch (error) {
      this.is_confirmed = false;
      this.trouble = message_of(error);
    }
  }
}

export const joining = new Joining();
