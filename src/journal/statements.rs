//! What a journal prepares on each of its connections.

/// Declares `Statements`: the prepared statements of one connection of a journal, each with its
/// SQL.
macro_rules! statements {
    ($($name:ident: $sql:expr;)+) => {
        /// The prepared statements of one connection.
        #[allow(missing_docs)]
        pub struct Statements { $(pub $name: tokio_postgres::Statement,)+ }

        impl Statements {
            /// Prepares them in one round trip.
            pub async fn prepare(
                client: &tokio_postgres::Client,
            ) -> Result<Self, tokio_postgres::Error> {
                let ($($name,)+) = tokio::try_join!($(client.prepare($sql)),+)?;
                Ok(Self { $($name,)+ })
            }
        }
    };
}
pub(crate) use statements;
