//! Which protocols of the link this version speaks, and which one two sides have in common.
//!
//! A protocol number is raised only when a message means something else than before; new fields and new messages need no number,
//! because whoever does not know them passes over them. Who has to be updated when nothing is in common is said by [`Mismatch`].

use std::fmt;

use berth_proto::agent;

/// What this version speaks, as hub and as agent alike.
///
/// `lowest` follows two minor versions behind `highest`: what a protocol of three minor versions ago needed may be dropped.
pub const OURS: Range = Range {
    lowest: 1,
    highest: 1,
};

/// The protocols one side speaks: every number from the lowest to the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The oldest one it still accepts.
    pub lowest: u32,
    /// The newest one it knows.
    pub highest: u32,
}

impl Range {
    /// Exactly one protocol.
    #[must_use]
    pub const fn only(protocol: u32) -> Self {
        Self {
            lowest: protocol,
            highest: protocol,
        }
    }

    /// What an agent says of itself. One that names no lowest, or one above its highest, speaks only the highest.
    #[must_use]
    pub fn of(hello: &agent::Hello) -> Self {
        match hello.protocol_min {
            lowest if (1..=hello.protocol).contains(&lowest) => Self {
                lowest,
                highest: hello.protocol,
            },
            _ => Self::only(hello.protocol),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lowest == self.highest {
            write!(f, "{}", self.highest)
        } else {
            write!(f, "{} to {}", self.lowest, self.highest)
        }
    }
}

/// Why two sides cannot talk, seen from ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The other side knows nothing as new as what is needed here.
    TooOld {
        /// Spoken here.
        ours: Range,
        /// Spoken there.
        theirs: Range,
    },
    /// The other side accepts nothing as old as what is known here.
    TooNew {
        /// Spoken here.
        ours: Range,
        /// Spoken there.
        theirs: Range,
    },
}

impl Mismatch {
    /// `PROTOCOL_TOO_OLD` or `PROTOCOL_TOO_NEW`, said of the other side.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooOld { .. } => TOO_OLD,
            Self::TooNew { .. } => TOO_NEW,
        }
    }

    /// Spoken here, and there.
    #[must_use]
    pub const fn ranges(&self) -> (Range, Range) {
        match *self {
            Self::TooOld { ours, theirs } | Self::TooNew { ours, theirs } => (ours, theirs),
        }
    }
}

/// The reason of a hub's refusal when the agent has to be updated.
pub const TOO_OLD: &str = "PROTOCOL_TOO_OLD";
/// The reason of a hub's refusal when the hub has to be updated.
pub const TOO_NEW: &str = "PROTOCOL_TOO_NEW";

/// The highest protocol both sides speak.
///
/// # Errors
/// [`Mismatch`] when there is none.
pub fn negotiate(ours: Range, theirs: Range) -> Result<u32, Mismatch> {
    if theirs.highest < ours.lowest {
        Err(Mismatch::TooOld { ours, theirs })
    } else if theirs.lowest > ours.highest {
        Err(Mismatch::TooNew { ours, theirs })
    } else {
        Ok(ours.highest.min(theirs.highest))
    }
}

/// What an agent is told when a hub that speaks `hub` has nothing in common with it: FAILED_PRECONDITION with both ranges.
#[must_use]
pub fn refusal(mismatch: &Mismatch) -> tonic::Status {
    let (hub, agent) = mismatch.ranges();
    let update = match mismatch {
        Mismatch::TooOld { .. } => "update the agent",
        Mismatch::TooNew { .. } => "update the hub",
    };
    let (hub, agent) = (hub.to_string(), agent.to_string());
    crate::status::reasoned(
        tonic::Code::FailedPrecondition,
        mismatch.reason(),
        format!("the agent speaks protocol {agent}, this hub {hub}; {update}"),
        &[("agent", &agent), ("hub", &hub)],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(lowest: u32, highest: u32) -> Range {
        Range { lowest, highest }
    }

    #[test]
    fn the_highest_common_protocol_is_spoken_and_without_one_it_is_clear_who_is_behind() {
        use Mismatch::{TooNew, TooOld};
        let old = |ours, theirs| Err(TooOld { ours, theirs });
        let new = |ours, theirs| Err(TooNew { ours, theirs });
        for (ours, theirs, expected) in [
            (range(1, 1), range(1, 1), Ok(1)),
            (range(1, 3), range(1, 3), Ok(3)),
            // Two minor versions apart, either way.
            (range(1, 3), range(1, 1), Ok(1)),
            (range(1, 1), range(1, 3), Ok(1)),
            (range(2, 4), range(1, 3), Ok(3)),
            (range(1, 3), range(2, 4), Ok(3)),
            (range(3, 5), range(1, 3), Ok(3)),
            // Three apart: nothing in common.
            (range(2, 4), range(1, 1), old(range(2, 4), range(1, 1))),
            (range(1, 1), range(2, 4), new(range(1, 1), range(2, 4))),
            (range(1, 1), range(0, 0), old(range(1, 1), range(0, 0))),
        ] {
            assert_eq!(negotiate(ours, theirs), expected, "{ours:?} {theirs:?}");
            let turned = negotiate(theirs, ours);
            assert_eq!(turned.ok(), expected.ok(), "both sides come to the same");
        }
    }

    #[test]
    fn an_agent_that_names_no_lowest_protocol_speaks_only_its_highest() {
        for (protocol, protocol_min, expected) in [
            (1, 0, range(1, 1)),
            (3, 1, range(1, 3)),
            (3, 3, range(3, 3)),
            (3, 4, range(3, 3)),
            (0, 0, range(0, 0)),
        ] {
            let hello = agent::Hello {
                protocol,
                protocol_min,
                ..agent::Hello::default()
            };
            assert_eq!(Range::of(&hello), expected, "{protocol} {protocol_min}");
        }
    }

    #[test]
    fn a_refusal_has_both_ranges_and_says_whom_to_update() {
        for (hub, agent, reason, message) in [
            (
                range(3, 5),
                range(1, 2),
                TOO_OLD,
                "the agent speaks protocol 1 to 2, this hub 3 to 5; update the agent",
            ),
            (
                range(1, 1),
                range(2, 4),
                TOO_NEW,
                "the agent speaks protocol 2 to 4, this hub 1; update the hub",
            ),
        ] {
            let status = refusal(&negotiate(hub, agent).unwrap_err());
            assert_eq!(status.code(), tonic::Code::FailedPrecondition);
            assert_eq!(crate::status::reason(&status).as_deref(), Some(reason));
            assert_eq!(status.message(), message);
        }
    }
}
