"""What Android's commands and Google's benchmark_model print, in the form of their sources; the values are made up for these tests."""

GETPROP = """\
[ro.build.id]: [TP1A.220624.014]
[ro.build.version.release]: [13]
[ro.product.cpu.abi]: [arm64-v8a]
[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a,armeabi]
[ro.product.manufacturer]: [samsung]
[ro.product.model]: [SM-G981U]
[ro.board.platform]: [kona]
[ro.hardware]: [qcom]
[ro.soc.model]: [SM8250]
[persist.note]: [first
second]
"""

BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 500000
  status: 2
  health: 2
  present: true
  level: 71
  scale: 100
  voltage: 4112
  temperature: 287
  technology: Li-ion
"""

THERMAL = """\
IsStatusOverride: false
ThermalEventListeners:
\tcallbacks: 1
Thermal Status: 0
Cached temperatures:
\tTemperature{mValue=55.5, mType=3, mName=SKIN, mStatus=0}
HAL Ready: true
HAL connection:
\tThermalHAL 2.0 connected: yes
Current temperatures from HAL:
\tTemperature{mValue=33.1, mType=0, mName=CPU0, mStatus=0}
\tTemperature{mValue=34.9, mType=0, mName=CPU1, mStatus=0}
\tTemperature{mValue=32.0, mType=1, mName=GPU0, mStatus=0}
\tTemperature{mValue=29.9, mType=3, mName=SKIN, mStatus=0}
\tTemperature{mValue=-99.9, mType=5, mName=TYPE_POWER_AMPLIFIER, mStatus=0}
Current cooling devices from HAL:
\tCoolingDevice{mValue=0, mType=2, mName=CPU}
"""

POWER = """\
POWER MANAGER (dumpsys power)
  mWakefulness=Awake
  mBatterySaverEnabled=false
"""

BENCHMARK = """\
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Graph: [/data/local/tmp/donna_hw/kept/x.tflite]
INFO: Use gpu: [1]
INFO: Created TensorFlow Lite delegate for GPU.
INFO: Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.
INFO: Initialized session in 1361.24ms.
INFO: Running benchmark for at least 0 iterations and at least 0 seconds but terminate if exceeding 600 seconds.
INFO: count=0

INFO: Running benchmark for at least 30 iterations and at least 0 seconds but terminate if exceeding 600 seconds.
INFO: count=30 first=119614 curr=115889 min=111842 max=119614 avg=115246 std=1329 p5=112107 median=115350 p95=116620

INFO: Inference timings in us: Init: 1361236, First inference: 0, Warmup (avg): 0, Inference (avg): 115246
"""

OPERATORS = """\
Profiling Info for Benchmark Initialization:
============================== Run Order ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t         AllocateTensors\t            0.000\t    0.147\t    0.147\t100.000%\t100.000%\t     0.000\t        1\tAllocateTensors/0

Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t                 CONV_2D\t            0.000\t    0.030\t    0.016\t 80.000%\t 80.000%\t     0.000\t        1\t[expand]:0
\t       DEPTHWISE_CONV_2D\t            0.017\t    0.007\t    0.004\t 20.000%\t100.000%\t     0.000\t        1\t[depthwise]:1

============================== Top by Computation Time ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t                 CONV_2D\t            0.000\t    0.030\t    0.016\t 80.000%\t 80.000%\t     0.000\t        1\t[expand]:0
"""
