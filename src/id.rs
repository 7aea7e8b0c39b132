//! Ids: a UUIDv7 inside, a TypeID (`ord_01h455vb4pex5vsknk084sn02q`) outside.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;
use type_safe_id::{StaticType, TypeSafeId};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{RefOr, schema};
use uuid::Uuid;

/// The id of a `K`. Never a secret, never grants access.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $id:ident($kind:ident) = $prefix:literal;)+) => {$(
        #[doc = concat!("Marks ids with the prefix `", $prefix, "`.")]
        #[derive(Default)]
        pub struct $kind;

        impl StaticType for $kind {
            const TYPE: &'static str = $prefix;
        }

        $(#[doc = $doc])+
        pub type $id = Id<$kind>;
    )+};
}

kinds! {
    /// A product.
    ProductId(ProductKind) = "prod";
    /// A variant: what a SKU names.
    VariantId(VariantKind) = "var";
    /// A category.
    CategoryId(CategoryKind) = "cat";
    /// A collection.
    CollectionId(CollectionKind) = "coll";
    /// A session.
    SessionId(SessionKind) = "sess";
    /// A customer.
    CustomerId(CustomerKind) = "cus";
    /// One of the staff.
    StaffId(StaffKind) = "staff";
    /// An API key.
    ApiKeyId(ApiKeyKind) = "key";
    /// An entry of the audit log.
    AuditId(AuditKind) = "aud";
    /// A mail.
    MailId(MailKind) = "mail";
    /// A saved address.
    AddressId(AddressKind) = "addr";
    /// Whose a cart and orders are: a customer, or the session of a guest.
    ShopperId(ShopperKind) = "shopper";
    /// A line of a cart.
    ItemId(ItemKind) = "item";
    /// Where stock lies.
    LocationId(LocationKind) = "loc";
    /// A stock adjustment.
    AdjustmentId(AdjustmentKind) = "adj";
    /// An order.
    OrderId(OrderKind) = "ord";
    /// A line of an order.
    LineId(LineKind) = "line";
    /// One attempt to pay.
    PaymentId(PaymentKind) = "pay";
}

impl<K> Id<K> {
    /// A new id, in order of time.
    pub fn new() -> Self {
        Self::from(Uuid::now_v7())
    }

    /// The UUID, as PostgreSQL stores it.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl<K> Default for Id<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> From<Uuid> for Id<K> {
    fn from(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Id<K> {}

impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K> Eq for Id<K> {}

impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K: StaticType> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", TypeSafeId::<K>::from_uuid(self.0))
    }
}

impl<K: StaticType> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: StaticType> FromStr for Id<K> {
    type Err = String;

    /// Only the canonical spelling is an id.
    fn from_str(text: &str) -> Result<Self, String> {
        TypeSafeId::<K>::from_str(text)
            .map(|id| Self::from(id.uuid()))
            .ok()
            .filter(|id| id.to_string() == text)
            .ok_or_else(|| format!("not an id that starts with {}_", K::TYPE))
    }
}

impl<K: StaticType> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: StaticType> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<K: StaticType> utoipa::PartialSchema for Id<K> {
    fn schema() -> RefOr<schema::Schema> {
        let example = format!("{}_01h455vb4pex5vsknk084sn02q", K::TYPE);
        let string = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .pattern(Some(format!("^{}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$", K::TYPE)))
            .examples([example]);
        RefOr::T(Schema::Object(string.build()))
    }
}

impl<K: StaticType> utoipa::ToSchema for Id<K> {
    /// Each kind has a pattern, so each has a schema.
    fn name() -> Cow<'static, str> {
        Cow::Owned(format!("Id_{}", K::TYPE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_itself_and_only_under_its_own_prefix() {
        let id = OrderId::new();
        assert_eq!(id.to_string().parse::<OrderId>(), Ok(id));
        assert!(id.to_string().parse::<ProductId>().is_err());
    }

    #[test]
    fn other_spellings_of_an_id_are_no_ids() {
        let id = OrderId::new().to_string();
        for wrong in [id.to_uppercase(), format!("{id} "), id.replace("ord_", ""), String::new()]
        {
            assert!(wrong.parse::<OrderId>().is_err(), "{wrong}");
        }
    }
}
