//! Points in time and spans of time, as protobuf has them.

use std::time::Duration;

use berth_model::Timestamp;

/// A point in time as protobuf.
#[must_use]
pub fn to_proto(at: Timestamp) -> prost_types::Timestamp {
    let (mut seconds, mut nanos) = (at.as_second(), at.subsec_nanosecond());
    if nanos < 0 {
        seconds -= 1;
        nanos += 1_000_000_000;
    }
    prost_types::Timestamp { seconds, nanos }
}

/// A point in time from protobuf; none when it is outside the years this calendar has.
#[must_use]
pub fn from_proto(at: &prost_types::Timestamp) -> Option<Timestamp> {
    Timestamp::new(at.seconds, at.nanos).ok()
}

/// A span of time as protobuf, at most 10,000 years.
#[must_use]
pub fn span_to_proto(span: Duration) -> prost_types::Duration {
    const LONGEST: u64 = 315_576_000_000;
    let seconds = i64::try_from(span.as_secs().min(LONGEST)).unwrap_or(i64::MAX);
    prost_types::Duration {
        seconds,
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or(0),
    }
}

/// A span of time from protobuf; a negative one counts as none at all.
#[must_use]
pub fn span_from_proto(span: &prost_types::Duration) -> Duration {
    let (Ok(seconds), Ok(nanos)) = (u64::try_from(span.seconds), u32::try_from(span.nanos)) else {
        return Duration::ZERO;
    };
    Duration::new(seconds, nanos.min(999_999_999))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn points_in_time_survive(seconds in -60_000_000_000_i64..200_000_000_000, nanos in 0_i32..1_000_000_000) {
            let at = Timestamp::new(seconds, nanos).unwrap();
            prop_assert_eq!(from_proto(&to_proto(at)), Some(at));
        }

        #[test]
        fn spans_survive(seconds in 0_u64..315_000_000_000, nanos in 0_u32..1_000_000_000) {
            let span = Duration::new(seconds, nanos);
            prop_assert_eq!(span_from_proto(&span_to_proto(span)), span);
        }

        #[test]
        fn no_protobuf_panics(seconds in any::<i64>(), nanos in any::<i32>()) {
            let _ = from_proto(&prost_types::Timestamp { seconds, nanos });
            let _ = span_from_proto(&prost_types::Duration { seconds, nanos });
        }
    }
}
