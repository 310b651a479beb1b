// Written from Apple's documentation; never run by us (README).
#include <IOKit/pwr_mgt/IOPMLib.h>

#include <format>

#include "app/sleep_inhibitor.h"

namespace flotilla {

// The system takes it back by itself where the process ends.
struct SleepInhibitor::Request {
  IOPMAssertionID assertion = kIOPMNullAssertionID;
  std::string trouble;
};

SleepInhibitor::SleepInhibitor() : request_(std::make_unique<Request>()) {}

SleepInhibitor::~SleepInhibitor() { release(); }

void SleepInhibitor::hold(const std::string& why) {
  if (holds()) return;
  request_->trouble.clear();
  CFStringRef text = CFStringCreateWithCString(nullptr, ("Flotilla: " + why).c_str(), kCFStringEncodingUTF8);
  if (text == nullptr) return;
  const IOReturn outcome = IOPMAssertionCreateWithName(kIOPMAssertionTypePreventUserIdleSystemSleep,
                                                       kIOPMAssertionLevelOn, text, &request_->assertion);
  CFRelease(text);
  if (outcome == kIOReturnSuccess) return;
  request_->assertion = kIOPMNullAssertionID;
  request_->trouble = std::format("the system refused (IOKit error {:#x})", static_cast<unsigned>(outcome));
}

void SleepInhibitor::release() {
  if (!holds()) return;
  IOPMAssertionRelease(request_->assertion);
  request_->assertion = kIOPMNullAssertionID;
}

bool SleepInhibitor::holds() { return request_->assertion != kIOPMNullAssertionID; }

const std::string& SleepInhibitor::trouble() const { return request_->trouble; }

}  // namespace flotilla
