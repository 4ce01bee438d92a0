//! What a run of the simulation reached.

/// What happened, so that a run that reaches nothing is noticed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) acknowledged: u64,
    pub(crate) unknown: u64,
    pub(crate) answers: u64,
    pub(crate) again: u64,
    pub(crate) crashes: u64,
    pub(crate) repeated: u64,
    pub(crate) clock_jumps: u64,
    pub(crate) filter_deletes: u64,
    pub(crate) updates: u64,
    pub(crate) refused_updates: u64,
    pub(crate) flushes: u64,
    pub(crate) failed_flushes: u64,
    pub(crate) compactions: u64,
    pub(crate) too_old: u64,
    pub(crate) wholes: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Tally) {
        self.acknowledged += other.acknowledged;
        self.unknown += other.unknown;
        self.answers += other.answers;
        self.again += other.again;
        self.crashes += other.crashes;
        self.repeated += other.repeated;
        self.clock_jumps += other.clock_jumps;
        self.filter_deletes += other.filter_deletes;
        self.updates += other.updates;
        self.refused_updates += other.refused_updates;
        self.flushes += other.flushes;
        self.failed_flushes += other.failed_flushes;
        self.compactions += other.compactions;
        self.too_old += other.too_old;
        self.wholes += other.wholes;
    }

    pub(crate) fn counts(&self) -> [(&'static str, u64); 15] {
        [
            ("acknowledged writes", self.acknowledged),
            ("writes of unknown outcome", self.unknown),
            ("answers", self.answers),
            ("answers asked again", self.again),
            ("crashes", self.crashes),
            ("repeated deliveries", self.repeated),
            ("clock jumps", self.clock_jumps),
            ("filter deletes", self.filter_deletes),
            ("updates", self.updates),
            ("refused updates", self.refused_updates),
            ("flushes", self.flushes),
            ("failed transactions", self.failed_flushes),
            ("compactions", self.compactions),
            ("reads of what is gone", self.too_old),
            ("truncations and times to live", self.wholes),
        ]
    }
}
