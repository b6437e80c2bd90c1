//! Spans of time as kubectl shows them: two units while they are small, one when they are large.

use berth_model::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// The time from `at` until `now`; `<unknown>` when `at` is not known. What lies ahead counts as now.
pub(crate) fn since(at: Option<&prost_types::Timestamp>, now: Timestamp) -> String {
    match at.and_then(berth_wire::time::from_proto) {
        Some(at) => human(u64::try_from(now.as_second() - at.as_second()).unwrap_or(0)),
        None => "<unknown>".into(),
    }
}

/// The time from `now` until `at`; `expired` when that has passed.
pub(crate) fn until(at: Option<&prost_types::Timestamp>, now: Timestamp) -> String {
    match at
        .and_then(berth_wire::time::from_proto)
        .map(|at| u64::try_from(at.as_second() - now.as_second()))
    {
        Some(Ok(seconds)) => human(seconds),
        Some(Err(_)) => "expired".into(),
        None => "<unknown>".into(),
    }
}

/// Seconds for people, after k8s.io/apimachinery's `HumanDuration`.
fn human(seconds: u64) -> String {
    let two = |unit: u64, name: char, part: u64, part_name: char| match seconds % unit / part {
        0 => format!("{}{name}", seconds / unit),
        rest => format!("{}{name}{rest}{part_name}", seconds / unit),
    };
    if seconds < 2 * MINUTE {
        format!("{seconds}s")
    } else if seconds < 10 * MINUTE {
        two(MINUTE, 'm', 1, 's')
    } else if seconds < 3 * HOUR {
        format!("{}m", seconds / MINUTE)
    } else if seconds < 8 * HOUR {
        two(HOUR, 'h', MINUTE, 'm')
    } else if seconds < 2 * DAY {
        format!("{}h", seconds / HOUR)
    } else if seconds < 8 * DAY {
        two(DAY, 'd', HOUR, 'h')
    } else if seconds < 2 * YEAR {
        format!("{}d", seconds / DAY)
    } else if seconds < 8 * YEAR {
        two(YEAR, 'y', DAY, 'd')
    } else {
        format!("{}y", seconds / YEAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_kubectl_writes_them() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_100, "3h5m"),
            (8 * HOUR, "8h"),
            (2 * DAY, "2d"),
            (3 * DAY + 4 * HOUR, "3d4h"),
            (8 * DAY, "8d"),
            (2 * YEAR + DAY, "2y1d"),
            (9 * YEAR, "9y"),
        ] {
            assert_eq!(human(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn what_is_not_known_or_lies_ahead_is_said_so() {
        let now = Timestamp::from_second(1_000).unwrap();
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        assert_eq!(since(None, now), "<unknown>");
        assert_eq!(since(at(2_000).as_ref(), now), "0s");
        assert_eq!(until(at(1_060).as_ref(), now), "60s");
        assert_eq!(until(at(999).as_ref(), now), "expired");
    }
}
