//! What is limited, of whom.

use super::rate::Rate;

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $name:ident = $setting:literal $exact:literal;)+) => {
        /// Limits that a client has.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Rule { $($(#[doc = $doc])+ $name,)+ }

        impl Rule {
            /// All of them.
            pub const ALL: &'static [Rule] = &[$(Rule::$name,)+];

            /// Where its rate is set; without the section it is its name in metrics.
            pub fn setting(self) -> &'static str {
                match self { $(Rule::$name => concat!("limits.", $setting),)+ }
            }

            /// Whether Redis is asked each time, rather than told now and then.
            pub(super) fn is_exact(self) -> bool {
                match self { $(Rule::$name => $exact,)+ }
            }
        }
    };
}

rules! {
    /// Everything, of an address.
    Address = "per_address" false;
    /// Everything, of a session's token or an API key.
    Credential = "per_credential" false;
    /// Everything, of a customer, in all sessions.
    Customer = "per_customer" false;
    /// New sessions, of an address.
    AddressSessions = "sessions_per_address" false;
    /// Placing orders, of an address.
    AddressOrders = "orders_per_address" false;
    /// Placing orders, of a session.
    CredentialOrders = "orders_per_credential" false;
    /// Logging in, of an address.
    AddressLogins = "logins_per_address" true;
    /// Registering, of an address.
    AddressRegistrations = "registrations_per_address" true;
    /// Resetting passwords and verifying addresses, of an address.
    AddressRecoveries = "recoveries_per_address" true;
    /// Trying discount codes, of an address.
    AddressCoupons = "coupons_per_address" true;
    /// Trying discount codes, of a session.
    CredentialCoupons = "coupons_per_credential" true;
    /// What makes us hash a password for, or write to, one e-mail address.
    Email = "per_email" true;
    /// Wrong secrets, of one account, from everywhere.
    Guesses = "guesses_per_account" true;
}

impl Rule {
    /// Its name in metrics.
    pub(super) fn name(self) -> &'static str {
        self.setting().trim_start_matches("limits.")
    }
}

/// What kind of work a route is, each with limits of its own besides the general ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Only what holds for every route.
    General,
    /// Beginning a session.
    Session,
    /// Logging in.
    Login,
    /// Registering.
    Register,
    /// Asking for or using what a mail brings: a new password, a verified address.
    Recover,
    /// Trying discount codes.
    Coupon,
    /// Placing an order.
    Order,
}

impl Class {
    /// Its limit of an address.
    pub fn of_address(self) -> Option<Rule> {
        match self {
            Class::General => None,
            Class::Session => Some(Rule::AddressSessions),
            Class::Login => Some(Rule::AddressLogins),
            Class::Register => Some(Rule::AddressRegistrations),
            Class::Recover => Some(Rule::AddressRecoveries),
            Class::Coupon => Some(Rule::AddressCoupons),
            Class::Order => Some(Rule::AddressOrders),
        }
    }

    /// Its limit of a credential.
    pub fn of_credential(self) -> Option<Rule> {
        match self {
            Class::Coupon => Some(Rule::CredentialCoupons),
            Class::Order => Some(Rule::CredentialOrders),
            _ => None,
        }
    }
}

/// The rate of each rule; none, if it is switched off.
#[derive(Debug, Clone)]
pub struct Rates([Option<Rate>; Rule::ALL.len()]);

impl Rates {
    /// What `rate` says of each.
    pub fn of(rate: impl FnMut(Rule) -> Option<Rate>) -> Self {
        let mut rates = Rule::ALL.iter().copied().map(rate);
        Self(std::array::from_fn(|_| rates.next().flatten()))
    }

    /// That of one rule.
    pub fn get(&self, rule: Rule) -> Option<Rate> {
        self.0[rule as usize]
    }
}
