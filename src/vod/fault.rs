//! Error codes and whose fault they are: the one table from code to fault.
//!
//! VOD publishes no closed list. These are the codes of its event pages, of the transcoding engine's job table (MPS,
//! whose codes VOD's jobs report) and of submissions; codes outside this list become `other`.

use super::event::{EventType, label_enum};

label_enum! {
    /// Whose fault a failure is.
    Fault {
        /// The uploaded file: a user's broken video never pages anybody.
        Source = "source",
        /// The account's own side: templates, permissions, keys, buckets, quotas, calls that could not work.
        Config = "config",
        /// VOD itself.
        Service = "service",
        /// Unknown.
        Other = "other",
    }
}

label_enum! {
    /// Error codes that are kept apart; all others are `other`.
    ErrorCode {
        /// Something went wrong inside VOD.
        InternalError = "InternalError",
        /// VOD limited itself.
        Throttling = "Throttling",
        /// The service is not activated, or is suspended for an overdue bill.
        ServiceDisabled = "InvalidIdentity.ServiceDisabled",
        /// A parameter is wrong, without detail.
        InvalidParameter = "InvalidParameter",
        /// A parameter is null.
        NullValue = "InvalidParameter.NullValue",
        /// A resource is in a state that forbids the operation.
        InvalidState = "InvalidParameter.InvalidState",
        /// A parameter is empty.
        EmptyValue = "InvalidParameter.EmptyValue",
        /// A parameter's value is not supported.
        NotSupported = "InvalidParameter.NotSupported",
        /// A parameter is out of range.
        OutOfRange = "InvalidParameter.OutOfRange",
        /// Something that the job names (a template, a pipeline, an object) does not exist.
        ResourceNotFound = "InvalidParameter.ResourceNotFound",
        /// The input file is damaged.
        ResourceContentBad = "InvalidParameter.ResourceContentBad",
        /// The input file is of a kind that cannot be processed.
        ResourceNotSupported = "InvalidParameter.ResourceNotSupported",
        /// Something that the job names has been deleted.
        ResourceDeleted = "InvalidParameter.ResourceDeleted",
        /// The input file has no audio stream.
        NoAudioStream = "InvalidParameter.NoAudioStream",
        /// A file to be merged has neither video nor audio.
        MergeFileNoVideoOrAudio = "InvalidParameter.MergeFileNoVideoOrAudio",
        /// A parameter is not JSON.
        JsonFormatInvalid = "InvalidParameter.JsonFormatInvalid",
        /// A parameter is not a JSON object.
        JsonObjectFormatInvalid = "InvalidParameter.JsonObjectFormatInvalid",
        /// A parameter is not a JSON array.
        JsonArrayFormatInvalid = "InvalidParameter.JsonArrayFormatInvalid",
        /// A parameter is not a UUID.
        UuidFormatInvalid = "InvalidParameter.UUIDFormatInvalid",
        /// A parameter is of the wrong form.
        Format = "InvalidParameter.Format",
        /// A parameter is not a number.
        NumberFormatInvalid = "InvalidParameter.NumberFormatInvalid",
        /// No such bucket name is possible.
        BucketNameInvalid = "InvalidParameter.BucketNameInvalid",
        /// The bucket's region is wrong.
        LocationInvalid = "InvalidParameter.LocationInvalid",
        /// No such object key is possible.
        ObjectKeyInvalid = "InvalidParameter.ObjectKeyInvalid",
        /// The template cannot be used for this.
        TemplateNotSupported = "InvalidParameter.TemplateNotSupported",
        /// The template does not exist.
        TemplateNotFound = "InvalidParameter.TemplateNotFound",
        /// The role may not use a resource.
        ResourceAccess = "PermissionDenied.ResourceAccess",
        /// A quota of the account is used up.
        ResourceQuotaExceed = "PermissionDenied.ResourceQuotaExceed",
        /// The job has already succeeded.
        JobInComplete = "PermissionDenied.JobInComplete",
        /// The job has already failed.
        JobInFailure = "PermissionDenied.JobInFailure",
        /// The job is running already.
        JobInRunning = "PermissionDenied.JobInRunning",
        /// The job asks for a system template that it cannot use.
        SystemTemplateJobNotSupported = "NotSupportedJob.SystemTemplateJobNotSupported",
        /// The job asks for an analysis that it cannot use.
        AnalysisJobNotSupported = "NotSupportedJob.AnalysisJobNotSupported",
        /// The input file's container cannot be processed.
        ContainerFormatNotSupported = "NotSupportedJob.ContainerFormatNotSupported",
        /// The input file is too short for the job.
        DurationIsLessThanHalfAnHour = "NotSupportedJob.DurationIsLessThanHalfAnHour",
        /// VOD's role is not allowed to do it.
        AccessDenied = "AccessDenied",
        /// VOD's role does not exist: the cloud resource authorisation is missing.
        RoleNotExist = "EntityNotExist.Role",
        /// The URL to pull from gave nothing.
        UrlInvalid = "URLInvalidError",
        /// The video to work on does not exist.
        VideoNotFound = "InvalidVideo.NotFound",
        /// The object is missing in its bucket.
        NoSuchKey = "NoSuchKey",
        /// The encryption key does not exist, or not in this region.
        KeyNotFound = "KeyNotFound",
        /// The call names something that does not exist.
        NoSuchResource = "NoSuchResource",
        /// The media file's status forbids the call.
        IllegalStatus = "Forbidden.IllegalStatus",
        /// The template group does not exist.
        TemplateGroupNotFound = "InvalidTranscodeTemplateGroup.NotFound",
        /// A failed event that carries no code.
        None = "none",
        /// Any code that is not in this list.
        Other = "other",
    }
}

/// Whose fault a failed event is.
pub fn fault_of(event_type: EventType, error: Option<ErrorCode>) -> Fault {
    match error {
        // Analysis reads nothing but the uploaded file, so that without a code the file is what failed.
        None | Some(ErrorCode::None) if event_type == EventType::VideoAnalysisComplete => {
            Fault::Source
        }
        error => error.unwrap_or(ErrorCode::None).fault(),
    }
}

/// Every code with its fault, for the documentation. The one exception: a `VideoAnalysisComplete` that fails without a
/// code is a [`Fault::Source`].
pub fn table() -> impl Iterator<Item = (ErrorCode, Fault)> {
    ErrorCode::ALL.iter().map(|code| (*code, code.fault()))
}

// === impl ErrorCode ===

impl ErrorCode {
    /// Reads a code as VOD writes it; none if it says that there is no error (`""`, `0`, `200`, `Success`, `OK`).
    pub fn from_vendor(text: &str) -> Option<Self> {
        let text = text.trim();
        let no_error = matches!(text, "" | "0" | "200")
            || ["success", "ok", "none"]
                .iter()
                .any(|word| text.eq_ignore_ascii_case(word));
        (!no_error).then(|| Self::parse(text).unwrap_or(Self::Other))
    }

    const fn fault(self) -> Fault {
        match self {
            // What was uploaded, or what a URL pointed to, cannot be processed.
            Self::ResourceContentBad
            | Self::ResourceNotSupported
            | Self::NoAudioStream
            | Self::MergeFileNoVideoOrAudio
            | Self::ContainerFormatNotSupported
            | Self::DurationIsLessThanHalfAnHour
            | Self::UrlInvalid => Fault::Source,

            // The rights, quotas and keys that the account gives to VOD.
            Self::ServiceDisabled
            | Self::ResourceAccess
            | Self::ResourceQuotaExceed
            | Self::AccessDenied
            | Self::RoleNotExist
            | Self::KeyNotFound
            // Jobs take their parameters from the account's templates, workflows and callers.
            | Self::InvalidParameter
            | Self::NullValue
            | Self::InvalidState
            | Self::EmptyValue
            | Self::NotSupported
            | Self::OutOfRange
            | Self::JsonFormatInvalid
            | Self::JsonObjectFormatInvalid
            | Self::JsonArrayFormatInvalid
            | Self::UuidFormatInvalid
            | Self::Format
            | Self::NumberFormatInvalid
            | Self::BucketNameInvalid
            | Self::LocationInvalid
            | Self::ObjectKeyInvalid
            | Self::TemplateNotSupported
            | Self::TemplateNotFound
            | Self::TemplateGroupNotFound
            | Self::SystemTemplateJobNotSupported
            | Self::AnalysisJobNotSupported
            // Named by the account, or removed from its bucket or its library behind VOD's back.
            | Self::ResourceNotFound
            | Self::ResourceDeleted
            | Self::NoSuchKey
            | Self::NoSuchResource
            | Self::VideoNotFound
            // Calls of the account's own programs at the wrong moment.
            | Self::JobInComplete
            | Self::JobInFailure
            | Self::JobInRunning
            | Self::IllegalStatus => Fault::Config,

            Self::InternalError | Self::Throttling => Fault::Service,

            Self::None | Self::Other => Fault::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_mean_no_error_are_none() {
        for text in ["", " ", "0", "200", "Success", "OK", "success ", "none"] {
            assert_eq!(ErrorCode::from_vendor(text), None, "{text:?}");
        }
    }

    #[test]
    fn known_codes_are_kept_apart_and_blanks_do_not_matter() {
        assert_eq!(
            ErrorCode::from_vendor("URLInvalidError "),
            Some(ErrorCode::UrlInvalid)
        );
        assert_eq!(
            ErrorCode::from_vendor("InvalidParameter.ResourceContentBad"),
            Some(ErrorCode::ResourceContentBad)
        );
        assert_eq!(
            ErrorCode::from_vendor("InvalidParameter.Brandnew"),
            Some(ErrorCode::Other)
        );
    }

    #[test]
    fn labels_are_distinct_and_bounded() {
        let mut labels: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), ErrorCode::COUNT);
        assert_eq!(table().count(), 46);
    }

    #[test]
    fn an_analysis_that_fails_without_a_code_is_the_files_fault() {
        assert_eq!(
            fault_of(EventType::VideoAnalysisComplete, None),
            Fault::Source
        );
        assert_eq!(fault_of(EventType::SnapshotComplete, None), Fault::Other);
        assert_eq!(
            fault_of(
                EventType::VideoAnalysisComplete,
                Some(ErrorCode::InternalError)
            ),
            Fault::Service
        );
    }
}
