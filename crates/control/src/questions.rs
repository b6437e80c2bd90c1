//! Questions to one agent that somebody waits for the answers of. Bounded; an answer goes to who asked and is kept nowhere.

use std::collections::{BTreeMap, VecDeque};

use berth_model::{AccessToken, ReviewedAccount, TokenRefused};
use tokio::sync::oneshot;

/// Questions of one session that are not answered yet, at most.
const MOST: usize = 64;

/// The answer to a question for a token.
pub type TokenAnswer = Result<AccessToken, TokenRefused>;
/// The answer to a question whose token something is.
pub type ReviewAnswer = Result<ReviewedAccount, TokenRefused>;

/// Too many questions wait for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// The questions of one kind of one session. Numbered from 1: what has the number 0 nobody waits for.
#[derive(Debug)]
pub(crate) struct Questions<Q, A> {
    last: u64,
    unsaid: VecDeque<(u64, Q)>,
    waiting: BTreeMap<u64, oneshot::Sender<A>>,
}

impl<Q, A> Default for Questions<Q, A> {
    fn default() -> Self {
        Self {
            last: 0,
            unsaid: VecDeque::new(),
            waiting: BTreeMap::new(),
        }
    }
}

impl<Q, A> Questions<Q, A> {
    /// Asks. The receiver fails when there will be no answer.
    pub(crate) fn ask(&mut self, question: Q) -> Result<oneshot::Receiver<A>, TooMany> {
        self.drop_given_up();
        if self.waiting.len() >= MOST {
            return Err(TooMany);
        }
        let (answer, answered) = oneshot::channel();
        self.last += 1;
        self.waiting.insert(self.last, answer);
        self.unsaid.push_back((self.last, question));
        Ok(answered)
    }

    /// The next question to say, if anybody still waits for its answer.
    pub(crate) fn next(&mut self) -> Option<(u64, Q)> {
        self.drop_given_up();
        self.unsaid.pop_front()
    }

    /// Whether nothing is to be said.
    pub(crate) fn silent(&self) -> bool {
        self.unsaid.is_empty()
    }

    /// Hands an answer to who waits for it; otherwise it is dropped.
    pub(crate) fn answer(&mut self, id: u64, answer: A) {
        if let Some(asked) = self.waiting.remove(&id) {
            // Whoever gave up meanwhile does not want it.
            drop(asked.send(answer));
        }
    }

    /// There will be no answers.
    pub(crate) fn give_up(&mut self) {
        self.unsaid.clear();
        self.waiting.clear();
    }

    fn drop_given_up(&mut self) {
        self.waiting.retain(|_, asked| !asked.is_closed());
        self.unsaid.retain(|(id, _)| self.waiting.contains_key(id));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use berth_model::{AccessRole, NoToken, TenantId, Timestamp, TokenWanted, Uid};

    use super::*;

    fn wanted() -> TokenWanted {
        TokenWanted {
            tenant: TenantId::new("a").unwrap(),
            uid: Uid::new("u").unwrap(),
            role: AccessRole::Admin,
            lifetime: Duration::from_secs(600),
        }
    }

    fn token(text: &str) -> TokenAnswer {
        Ok(AccessToken::new(text.into(), Timestamp::UNIX_EPOCH))
    }

    #[test]
    fn each_answer_goes_to_who_asked_the_question() {
        let mut questions = Questions::default();
        let mut first = questions.ask(wanted()).unwrap();
        let mut second = questions.ask(wanted()).unwrap();
        assert_eq!(questions.next().map(|(id, _)| id), Some(1));
        assert_eq!(questions.next().map(|(id, _)| id), Some(2));
        assert_eq!(questions.next(), None);
        questions.answer(2, token("two"));
        questions.answer(1, Err(TokenRefused::new(NoToken::NotHeld, "no")));
        assert_eq!(second.try_recv().unwrap(), token("two"));
        assert_eq!(
            first.try_recv().unwrap().map_err(|refused| refused.reason),
            Err(NoToken::NotHeld)
        );
    }

    #[test]
    fn answers_that_nobody_waits_for_go_nowhere() {
        let mut questions = Questions::default();
        questions.answer(0, token("of the breaker"));
        questions.answer(7, token("of nobody"));
        let mut asked = questions.ask(wanted()).unwrap();
        questions.answer(1, token("once"));
        questions.answer(1, token("twice"));
        assert_eq!(asked.try_recv().unwrap(), token("once"));
    }

    #[test]
    fn a_question_whose_asker_has_gone_is_not_said_and_makes_room() {
        let mut questions = Questions::<_, TokenAnswer>::default();
        let asked: Vec<_> = (0..MOST).map(|_| questions.ask(wanted()).unwrap()).collect();
        assert_eq!(questions.ask(wanted()).err(), Some(TooMany));
        drop(asked);
        assert_eq!(questions.next(), None);
        let _asked = questions.ask(wanted()).unwrap();
        assert!(!questions.silent());
    }

    #[test]
    fn whoever_waits_hears_when_there_will_be_no_answer() {
        let mut questions = Questions::<_, TokenAnswer>::default();
        let mut asked = questions.ask(wanted()).unwrap();
        questions.give_up();
        assert!(questions.silent());
        assert!(matches!(
            asked.try_recv(),
            Err(oneshot::error::TryRecvError::Closed)
        ));
    }
}
