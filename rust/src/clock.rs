//! `strftime` over a number of seconds: what templates that print today's date need, in UTC arithmetic of our own.

const MONTHS: [&str; 12] = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

struct Moment {
    year: i64,
    month: usize, // [0, 12)
    day: i64,     // [1, 31]
    weekday: usize,
    yearday: i64, // [0, 366)
    second_of_day: i64,
}

/// Days since 1970 as a civil date: eras of 400 years that begin on the first of March, so that leap days come last.
fn moment(seconds: i64) -> Moment {
    let days = seconds.div_euclid(86_400);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = (march_month + 2) % 12;
    let year = year_of_era + era * 400 + i64::from(month < 2);
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let yearday = if month < 2 { day_of_year - 306 } else { day_of_year + 59 + i64::from(leap) };
    Moment {
        year,
        month: month as usize,
        day: day_of_year - (153 * march_month + 2) / 5 + 1,
        weekday: (days + 4).rem_euclid(7) as usize,
        yearday,
        second_of_day: seconds.rem_euclid(86_400),
    }
}

/// Directives of the C locale. A directive we do not know stays as it is written; `%-d` and the like drop leading zeros.
pub fn strftime(seconds: i64, format: &str) -> String {
    let now = moment(seconds);
    let mut out = String::with_capacity(format.len() + 16);
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('-') => match letters.next() {
                Some(directive) => match field(&now, directive) {
                    Some(text) => out.push_str(without_padding(&text)),
                    None => out.extend(['%', '-', directive]),
                },
                None => out.push_str("%-"),
            },
            Some(directive) => match field(&now, directive) {
                Some(text) => out.push_str(&text),
                None => out.extend(['%', directive]),
            },
            None => out.push('%'),
        }
    }
    out
}

/// A number keeps its last digit, a zero too; what is no number, `00:00:00` for one, stays as it is.
fn without_padding(text: &str) -> &str {
    let number = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_digit());
    let significant = text.find(|letter| !matches!(letter, '0' | ' ')).unwrap_or(text.len() - 1);
    if number { &text[significant..] } else { text }
}

fn field(now: &Moment, directive: char) -> Option<String> {
    let (hour, minute, second) = (now.second_of_day / 3_600, now.second_of_day / 60 % 60, now.second_of_day % 60);
    let hour_of_12 = (hour + 11) % 12 + 1;
    let (month, year) = (now.month + 1, now.year);
    Some(match directive {
        'Y' => year.to_string(),
        'y' => format!("{:02}", year.rem_euclid(100)),
        'm' => format!("{month:02}"),
        'd' => format!("{:02}", now.day),
        'e' => format!("{:2}", now.day),
        'j' => format!("{:03}", now.yearday + 1),
        'B' => MONTHS[now.month].into(),
        'b' | 'h' => MONTHS[now.month][..3].into(),
        'A' => DAYS[now.weekday].into(),
        'a' => DAYS[now.weekday][..3].into(),
        'H' => format!("{hour:02}"),
        'I' => format!("{hour_of_12:02}"),
        'M' => format!("{minute:02}"),
        'S' => format!("{second:02}"),
        'p' => (if hour < 12 { "AM" } else { "PM" }).into(),
        'F' => format!("{year}-{month:02}-{:02}", now.day),
        'T' => format!("{hour:02}:{minute:02}:{second:02}"),
        'D' => format!("{month:02}/{:02}/{:02}", now.day, year.rem_euclid(100)),
        '%' => "%".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::strftime;

    #[test]
    fn known_moments_print_as_the_c_library_prints_them() {
        assert_eq!(strftime(0, "%A, %d %B %Y %H:%M:%S"), "Thursday, 01 January 1970 00:00:00");
        assert_eq!(strftime(1_709_210_096, "%a %e %b %y %I:%M %p day %j"), "Thu 29 Feb 24 12:34 PM day 060");
        assert_eq!(strftime(1_735_689_599, "%F %T %j"), "2024-12-31 23:59:59 366");
        assert_eq!(strftime(-1, "%Y-%m-%d %H"), "1969-12-31 23");
        assert_eq!(strftime(946_684_800, "%-H %-M %-S %-y %-d %-e %-j %-I %-T %-p"), "0 0 0 0 1 1 1 12 00:00:00 AM");
        assert_eq!(strftime(951_782_400, "%D %-d %-m %% %Q %-"), "02/29/00 29 2 % %Q %-");
    }
}
