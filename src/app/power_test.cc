// Claims about power and about staying awake.
#include "app/power.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "app/wakefulness.h"
#include "base/units.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

class PowerSupply : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("power-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  void write(const std::string& supply, const std::string& file, const std::string& text) {
    fs::create_directories(folder_ / supply);
    std::ofstream(folder_ / supply / file) << text << '\n';
  }
  void charger(const std::string& type, bool online) {
    write("charger", "type", type);
    write("charger", "online", online ? "1" : "0");
  }
  void battery(const std::string& name, const std::string& status, int percent) {
    write(name, "type", "Battery");
    write(name, "status", status);
    write(name, "capacity", std::to_string(percent));
  }
  Power power() const { return read_power(folder_); }
  fs::path folder_;
};

TEST_F(PowerSupply, AMachineWithoutBatteryIsOnMains) {
  EXPECT_EQ(power(), Power());
  charger("Mains", true);
  EXPECT_EQ(power(), Power());
  EXPECT_EQ(read_power(folder_ / "missing"), Power());
}

TEST_F(PowerSupply, ACableThatIsPulledPutsItOnBattery) {
  charger("Mains", true);
  battery("BAT0", "Charging", 43);
  EXPECT_FALSE(power().on_battery);
  charger("Mains", false);
  battery("BAT0", "Unknown", 43);
  EXPECT_TRUE(power().on_battery);
  EXPECT_EQ(describe(power()), "on battery at 43 %");
}

TEST_F(PowerSupply, AChargerByUsbCountsWhereItGivesPower) {
  charger("USB", false);
  battery("BAT0", "Not charging", 80);
  EXPECT_FALSE(power().on_battery) << "some machines list their USB ports and have their mains elsewhere";
  battery("BAT0", "Discharging", 80);
  EXPECT_TRUE(power().on_battery);
  charger("USB", true);
  EXPECT_FALSE(power().on_battery);
}

TEST_F(PowerSupply, OfTwoBatteriesTheFullerIsTold) {
  battery("BAT0", "Discharging", 12);
  battery("BAT1", "Not charging", 90);
  EXPECT_EQ(power().charge_percent, 90u);
}

TEST_F(PowerSupply, AMousesBatteryIsNotTheMachines) {
  battery("hid-mouse", "Discharging", 5);
  write("hid-mouse", "scope", "Device");
  EXPECT_EQ(power(), Power());
}

TEST_F(PowerSupply, NonsenseIsNoBattery) {
  write("odd", "type", "Wind");
  battery("BAT0", "", 1);
  write("BAT0", "capacity", "many");
  EXPECT_EQ(power().charge_percent, std::nullopt);
}

TEST(BatteryRules, SayWhatIsOffered) {
  const Power battery{.has_battery = true, .on_battery = true, .charge_percent = 43};
  EXPECT_EQ(offered_bytes({.has_battery = true, .charge_percent = 1}, {}, 8 * gib), 8 * gib) << "on mains";
  EXPECT_EQ(offered_bytes(battery, {}, 8 * gib), 4 * gib);
  EXPECT_EQ(offered_bytes(battery, {.on_battery = OnBattery::none}, 8 * gib), 0u);
  EXPECT_EQ(offered_bytes(battery, {.low_percent = 43}, 8 * gib), 0u);
  EXPECT_EQ(offered_bytes(battery, {.on_battery = OnBattery::all, .low_percent = 43}, 8 * gib), 8 * gib);
  EXPECT_EQ(offered_bytes({.has_battery = true, .on_battery = true, .charge_percent = {}}, {}, 8 * gib), 4 * gib);
}

// --- Staying awake ---

TEST(Wakefulness, IsWantedWhileAStageIsHeldAndWorkIsRecent) {
  const Wakefulness::Time start{1h};
  Wakefulness wakefulness(10min);
  EXPECT_FALSE(wakefulness.step(true, start)) << "nothing was computed yet";
  wakefulness.on_work(start);
  EXPECT_TRUE(wakefulness.step(true, start));
  EXPECT_TRUE(wakefulness.step(true, start + 599s));
  EXPECT_FALSE(wakefulness.step(true, start + 600s));
  EXPECT_FALSE(wakefulness.step(false, start + 1s));
  wakefulness.on_work(start + 700s);
  EXPECT_TRUE(wakefulness.step(true, start + 701s));
}

TEST(Wakefulness, OfNoTimeIsNever) {
  const Wakefulness::Time start{1h};
  Wakefulness wakefulness(0s);
  wakefulness.on_work(start);
  EXPECT_FALSE(wakefulness.step(true, start));
}

}  // namespace
}  // namespace flotilla
