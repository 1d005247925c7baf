//! The element names of MNS.

macro_rules! tags {
    ($($name:ident)*) => {
        /// A known element; everything else is `Unknown`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Tag {
            $($name,)*
            Unknown,
        }

        impl Tag {
            /// By local name.
            pub(super) fn of(name: &str) -> Self {
                match name {
                    $(stringify!($name) => Self::$name,)*
                    _ => Self::Unknown,
                }
            }

            /// The plain start tag that `xml` starts with, and the end tag that closes it.
            pub(super) fn at(xml: &[u8]) -> Option<(Self, &'static str)> {
                $(if xml.starts_with(concat!("<", stringify!($name), ">").as_bytes()) {
                    return Some((Self::$name, concat!("</", stringify!($name), ">")));
                })*
                None
            }

            /// As written in XML.
            pub(super) fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    Self::Unknown => "an unknown element",
                }
            }
        }
    };
}

// Those of a message first: they are looked up most.
tags! {
    MessageId MessageBodyMD5 MessageBody ReceiptHandle EnqueueTime FirstDequeueTime NextVisibleTime DequeueCount
    Priority MessageGroupId Message Messages
    Queue QueueName QueueURL Queues NextMarker CreateTime LastModifyTime VisibilityTimeout MessageRetentionPeriod
    DelaySeconds PollingWaitSeconds MaximumMessageSize ActiveMessages InactiveMessages DelayMessages
    ChangeVisibility Error Errors Code RequestId ErrorCode ErrorMessage
}
