// SPDX-License-Identifier: AGPL-3.0-or-later
// What a decision of the schedule costs: a call against so many rules, of which the last fits. The floor: as many
// comparisons of texts that differ.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "api/control/schedule.h"
#include "bench/call_centre_rules.h"

namespace spantape {
namespace {

Recording call() {
    Recording call;
    call.device_id = "99999", call.ani = "+1555123456", call.dnis = "18009999999", call.direction = "I";
    return call;
}

void ScheduleDecide(benchmark::State& state) {
    auto schedule = Schedule::make(bench::call_centre_rules(state.range(0), {{"percent", "50"}}));
    if (!schedule) return state.SkipWithError(schedule.error().message.c_str());
    const Recording fields = call();
    const ScheduleFacts facts{.fields = fields,
                              .at_ns = 1'764'244'800 * kNsPerSecond,
                              .agents = {"77", "nobody", "No Body"},
                              .groups = {"Nobodies"}};
    for (auto _ : state) benchmark::DoNotOptimize(schedule->decide(facts));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(ScheduleDecide)->Arg(10)->Arg(100)->Arg(1000);

void FloorCompareTexts(benchmark::State& state) {
    std::vector<std::string> texts;
    for (std::int64_t i = 0; i < state.range(0); ++i) texts.push_back(fmt::format("7{:04}", i));
    const std::string wanted = "99999";
    for (auto _ : state) {
        std::size_t found = 0;
        for (const std::string& text : texts) found += text == wanted ? 1 : 0;
        benchmark::DoNotOptimize(found);
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(FloorCompareTexts)->Arg(10)->Arg(100)->Arg(1000);

}  // namespace
}  // namespace spantape

BENCHMARK_MAIN();
