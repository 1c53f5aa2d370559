# The CUDA kernels as one module for any processor. SPLATWORLD_CUDA, a variable of CMake or of the environment:
#   auto    for this machine's GPU, where there are nvcc and a GPU; nothing elsewhere (default)
#   off     nothing
#   native  for this machine's GPU; an error without nvcc or GPU
#   all     for sm_75 to sm_120, and what comes after it
set(SPLATWORLD_CUDA auto CACHE STRING "auto, off, native or all")
set(wanted "${SPLATWORLD_CUDA}")
if(NOT "$ENV{SPLATWORLD_CUDA}" STREQUAL "")
  set(wanted "$ENV{SPLATWORLD_CUDA}")
endif()
if(NOT wanted MATCHES "^(auto|off|native|all)$")
  message(FATAL_ERROR "SPLATWORLD_CUDA is '${wanted}', expected auto, off, native or all.")
endif()

if(wanted STREQUAL "auto")
  set(wanted off)
  find_program(SPLATWORLD_NVIDIA_SMI nvidia-smi PATHS /usr/local/nvidia/bin /usr/lib/wsl/lib)
  if(SPLATWORLD_NVIDIA_SMI)
    execute_process(COMMAND "${SPLATWORLD_NVIDIA_SMI}" -L OUTPUT_VARIABLE gpus ERROR_QUIET)
    include(CheckLanguage)
    if(gpus MATCHES "GPU 0")
      check_language(CUDA)
    endif()
    if(CMAKE_CUDA_COMPILER)
      set(wanted native)
    endif()
  endif()
endif()
if(wanted STREQUAL "off")
  return()
endif()

if(wanted STREQUAL "all")
  set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 86-real 89-real 90-real 100-real 120)
endif()
enable_language(CUDA)
if(wanted STREQUAL "native")
  if(NOT CMAKE_CUDA_ARCHITECTURES_NATIVE MATCHES "^[0-9]+")
    message(FATAL_ERROR "SPLATWORLD_CUDA is native, but nvcc finds no GPU here: ${CMAKE_CUDA_ARCHITECTURES_NATIVE}. "
                        "Use SPLATWORLD_CUDA=all to build for any GPU.")
  endif()
  set(CMAKE_CUDA_ARCHITECTURES "${CMAKE_CUDA_ARCHITECTURES_NATIVE}")
endif()
find_package(CUDAToolkit REQUIRED)
message(STATUS "CUDA kernels for ${CMAKE_CUDA_ARCHITECTURES}")

# Apart from the module, whose options are those of a C++ compiler.
file(GLOB gpu_kernels CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/gpu/*.cu")
add_library(gpu_kernels OBJECT ${gpu_kernels})
target_include_directories(gpu_kernels PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
target_compile_options(gpu_kernels PRIVATE -O3 -Xfatbin=-compress-all)
set_target_properties(gpu_kernels PROPERTIES CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON POSITION_INDEPENDENT_CODE ON
                      CUDA_VISIBILITY_PRESET hidden)

add_module(_native_cuda cuda "" bindings_gpu.cpp $<TARGET_OBJECTS:gpu_kernels>)
target_compile_definitions(_native_cuda PRIVATE SPLATWORLD_ARRAY_DEVICE=nb::device::cuda)
target_link_libraries(_native_cuda PRIVATE CUDA::cudart_static)
