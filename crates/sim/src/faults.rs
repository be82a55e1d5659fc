//! What goes wrong, and how often.

use crate::random::Random;

/// Rates in a thousand, drawn once per run: a run has some faults often and others never.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// The write is done, the answer is lost.
    pub(crate) lost_answer: u32,
    /// The request never arrives; nobody knows.
    pub(crate) lost_request: u32,
    /// The server says 500 although it has done the write.
    pub(crate) done_but_500: u32,
    /// 429, 500 or a conflict, and nothing was done.
    pub(crate) refused: u32,
    /// The request arrives twice.
    pub(crate) doubled: u32,
    /// The controller dies after a write.
    pub(crate) crash: u32,
    /// A watch breaks: what it had not told is never told, until it lists again.
    pub(crate) broken_watch: u32,
    /// A watch falls behind.
    pub(crate) late_watch: u32,
    /// Not a rate: more than 0 where the controller's clock is set to another time now and then.
    pub(crate) clock_jump: u32,
    /// A pod that should stop hangs.
    pub(crate) hanging_stop: u32,
    /// A pod that runs fails.
    pub(crate) failing_pod: u32,
    /// A ready pod is not ready for a while.
    pub(crate) unready_pod: u32,
}

impl Faults {
    /// The rates of a run.
    pub(crate) fn draw(random: &mut Random) -> Self {
        let mut rate = |most: i64| {
            if random.chance(350) { 0 } else { u32::try_from(random.between(1, most)).unwrap_or(0) }
        };
        Self {
            lost_answer: rate(150),
            lost_request: rate(150),
            done_but_500: rate(80),
            refused: rate(200),
            doubled: rate(150),
            crash: rate(60),
            broken_watch: rate(30),
            late_watch: rate(60),
            clock_jump: rate(100),
            hanging_stop: rate(200),
            failing_pod: rate(250),
            unready_pod: rate(300),
        }
    }
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Done and answered.
    Plain,
    /// See [`Faults`].
    LostAnswer,
    /// See [`Faults`].
    LostRequest,
    /// See [`Faults`].
    DoneBut500,
    /// The code and reason of the refusal.
    Refused(u16, &'static str),
    /// See [`Faults`].
    Doubled,
}

impl Faults {
    /// Draws what becomes of a request.
    pub(crate) fn fate(&self, random: &mut Random) -> Fate {
        const NOES: [(u16, &str); 4] =
            [(409, "Conflict"), (429, "TooManyRequests"), (500, "InternalError"), (403, "Forbidden")];
        let faults = [self.lost_answer, self.lost_request, self.done_but_500, self.refused, self.doubled];
        let plain = 1000u32.saturating_sub(faults.iter().sum());
        let mut weights = faults.to_vec();
        weights.push(plain);
        match random.weighed(&weights) {
            0 => Fate::LostAnswer,
            1 => Fate::LostRequest,
            2 => Fate::DoneBut500,
            3 => {
                let (code, reason) = random.pick(&NOES).copied().unwrap_or(NOES[0]);
                Fate::Refused(code, reason)
            }
            4 => Fate::Doubled,
            _ => Fate::Plain,
        }
    }
}
